"""The executor's end of one sandbox: start it, give it jobs, end it."""

import asyncio
import os
import socket
import sys
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from qjet_executor.death import LastWords, SandboxDiedError, diagnose
from qjet_executor.machine import oom_kills
from qjet_executor.protocol import DEFAULT_MAX_RESULT_MB, HEADER, Device, Job, Outcome, Ready, frame
from qjet_shared import lifeline

_START_TIMEOUT_S: Final = 120.0
_OWN_SETTINGS: Final = "QJET_"  # not for a circuit's eyes: the broker's address, say

_BOUNDS: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "QISKIT_PARALLEL": "FALSE",
    "QISKIT_NUM_PROCS": "1",
    "MIMALLOC_ARENA_EAGER_COMMIT": "0",
    "PYTHONWARNINGS": "ignore",
    "RUST_BACKTRACE": "0",
}
"""One thread for each library but Aer's OpenMP. Qiskit's allocator maps a gibibyte ahead otherwise,
which a limit on memory would have to allow on top (mimalloc, `mi_option_arena_eager_commit`)."""

__all__ = ["Sandbox", "SandboxDiedError"]

Message = TypeVar("Message", bound=Struct)


class Sandbox:
    """One warm child process, for one job at a time.

    `unfit_for` says why it can take no more jobs (`time_limit`, `memory`, `killed`, `crashed`,
    `cancelled`), and is empty while it can.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        last_words: LastWords,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._last_words = last_words
        self._oom_kills_before = oom_kills()
        self._is_cancelled = False
        self.jobs_done = 0
        self.unfit_for = ""

    @classmethod
    async def start(
        cls,
        *,
        memory_mb: int,
        threads: int,
        max_result_mb: int = DEFAULT_MAX_RESULT_MB,
        device: Device = "CPU",
    ) -> "Sandbox":
        """Start a process and wait until it is warm.

        A job may take `memory_mb` MiB and `threads` threads, its result `max_result_mb` MiB;
        Aer computes on `device`.

        Raises:
            SandboxDiedError: it ended, or could not import or run what it needs.
        """
        ours, theirs = socket.socketpair()
        last_words = LastWords()
        with theirs:
            limits = (str(limit) for limit in (memory_mb, threads, max_result_mb))
            arguments = (str(theirs.fileno()), *limits, device)
            process = await asyncio.create_subprocess_exec(
                *lifeline.command(sys.executable, "-m", "qjet_executor.sandbox", *arguments),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=last_words.descriptor,
                env=_sandbox_environment(threads),
                start_new_session=True,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        sandbox = cls(process, reader, writer, last_words)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                ready = await sandbox._receive(Ready)
        except BaseException as exc:
            await sandbox.kill()
            if isinstance(exc, TimeoutError):
                raise SandboxDiedError("start", "A sandbox did not get ready in time.") from exc
            raise
        if ready.trouble:
            await sandbox.kill()
            raise SandboxDiedError("hopeless" if ready.is_hopeless else "start", ready.trouble)
        return sandbox

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def run(self, job: Job, *, timeout_s: float) -> Outcome:
        """Run one job.

        Raises:
            SandboxDiedError: the process ended first.
            TimeoutError: it took longer than `timeout_s` seconds, and is still at it.
        """
        self.unfit_for = "cancelled"
        self._last_words.clear()
        self._oom_kills_before = oom_kills()
        try:
            async with asyncio.timeout(timeout_s):
                outcome = await self._ask(job)
        except TimeoutError:
            self.unfit_for = "time_limit"
            raise
        except SandboxDiedError as exc:
            self.unfit_for = exc.reason
            raise
        self.unfit_for = "memory" if outcome.is_spent else ""
        self.jobs_done += 1
        return outcome

    def cancel(self) -> None:
        """End the process because nobody wants what it works on any more."""
        self._is_cancelled = True
        if self._process.returncode is None:
            self._process.kill()

    async def gone(self) -> SandboxDiedError:
        """Wait until the process has ended, and say how."""
        code = await self._process.wait()
        return diagnose(
            code,
            says_no_memory=self._last_words.speak_of_memory(),
            was_oom_killed=oom_kills() > self._oom_kills_before,
            is_cancelled=self._is_cancelled,
        )

    async def kill(self) -> None:
        """End the process, whatever it does, and reap it."""
        if self._process.returncode is None:
            self._process.kill()
        self._writer.close()
        await self._process.wait()
        self._last_words.close()

    async def _ask(self, job: Job) -> Outcome:
        try:
            self._writer.write(frame(job))
            await self._writer.drain()
        except ConnectionError as exc:
            raise await self.gone() from exc
        return await self._receive(Outcome)

    async def _receive(self, kind: type[Message]) -> Message:
        try:
            header = await self._reader.readexactly(HEADER.size)
            body = await self._reader.readexactly(HEADER.unpack(header)[0])
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            raise await self.gone() from exc
        return msgspec.msgpack.decode(body, type=kind)


def _sandbox_environment(threads: int) -> dict[str, str]:
    """Pass on the environment without qjet's own settings, and with what bounds libraries."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OWN_SETTINGS)}
    return {**inherited, **_BOUNDS, "OMP_NUM_THREADS": str(threads)}
