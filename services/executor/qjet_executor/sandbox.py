"""A sandbox: a child process that parses and simulates one circuit at a time.

Started as `python -m qjet_executor.sandbox FD MEMORY_MB THREADS MAX_RESULT_MB DEVICE`, FD being a
connected socket. It answers each `Job` with an `Outcome` and ends when the executor closes the
socket or dies. A circuit may kill, stall or bloat this process only.
"""

import socket
import sys
from typing import BinaryIO, Final, cast

import msgspec

from qjet_executor.confinement import Confinement
from qjet_executor.protocol import HEADER, Device, Job, Ready, frame

_JOBS: Final = msgspec.msgpack.Decoder(Job)
_READ_AHEAD: Final = 65_536


def main() -> None:
    """Warm up, say so, then work until the socket closes."""
    descriptor, memory_mb, threads, max_result_mb = (int(text) for text in sys.argv[1:5])
    device = cast(Device, sys.argv[5])
    with socket.socket(fileno=descriptor) as channel:
        try:
            from qjet_executor.simulate import Simulators  # noqa: PLC0415  # slow, and may fail
            from qjet_executor.simulator import why_not_on  # noqa: PLC0415  # same

            if trouble := why_not_on(device):
                channel.sendall(frame(Ready(trouble=trouble, is_hopeless=True)))
                return
            simulators = Simulators(
                max_memory_mb=memory_mb,
                max_threads=threads,
                max_result_mb=max_result_mb,
                device=device,
            )
            simulators.warm_up()
            confinement = Confinement(memory_mb)
        except Exception as exc:  # noqa: BLE001  # whatever it is, the executor should say it
            channel.sendall(frame(Ready(trouble=f"{type(exc).__name__}: {exc}")))
            return
        channel.sendall(frame(Ready()))
        jobs = cast(BinaryIO, channel.makefile("rb", buffering=_READ_AHEAD))
        while (job := _receive(jobs)) is not None:
            confinement.allow(job.room.memory_mb if job.room else memory_mb)
            outcome = simulators.run(job)
            is_spent = confinement.is_spent(simulators.forget)
            channel.sendall(frame(msgspec.structs.replace(outcome, is_spent=is_spent)))


def _receive(jobs: BinaryIO) -> Job | None:
    """Return the next job, or None once the executor has closed the socket or died."""
    header = jobs.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    size = HEADER.unpack(header)[0]
    body = jobs.read(size)
    return _JOBS.decode(body) if len(body) == size else None


if __name__ == "__main__":
    main()
