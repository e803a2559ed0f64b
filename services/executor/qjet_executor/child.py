"""The executor's end of one sandbox: start it, give it jobs, end it."""

import asyncio
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from qjet_executor.channel import Channel
from qjet_executor.death import LastWords, SandboxDiedError, diagnose
from qjet_executor.machine import oom_kills
from qjet_executor.protocol import DEFAULT_MAX_RESULT_MB, Device, Job, Outcome, Ready
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
    "OMP_WAIT_POLICY": "PASSIVE",
    "PYTHONWARNINGS": "ignore",
    "RUST_BACKTRACE": "0",
}
"""One thread for each library but Aer's OpenMP. Qiskit's allocator maps a gibibyte ahead otherwise,
which a limit on memory would have to allow on top (mimalloc, `mi_option_arena_eager_commit`).
Threads of OpenMP that have nothing to do must not spin: the cores are other sandboxes' too."""

_STUCK_S: Final = 0.5
"""From then on, nobody waits behind a job that should have been short."""

_LOOK_AGAIN_S: Final = 1.0
"""So often at most the kernel's count of killed processes is read."""

_OUTCOMES: Final = msgspec.msgpack.Decoder(Outcome)

__all__ = ["Sandbox", "SandboxDiedError"]


@dataclass(eq=False)
class _Ride:
    """A job on its way through the process: sent, and not answered yet."""

    job: Job
    outcome: asyncio.Future[Outcome]
    timeout_s: float
    on_start: Callable[[], None]


class Sandbox:
    """One warm child process. It works on one job at a time; short ones may queue up in it.

    `unfit_for` says why it can take no more jobs (`time_limit`, `memory`, `killed`, `crashed`,
    `cancelled`, `stuck`), and is empty while it can.
    """

    def __init__(self, process: asyncio.subprocess.Process, last_words: LastWords) -> None:
        self._process = process
        self._last_words = last_words
        self._channel = Channel(self._answered)
        self._ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._rides: deque[_Ride] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._oom_kills_before = oom_kills()
        self._looked_at = time.monotonic()
        self._is_cancelled = False
        self._dying: asyncio.Task[None] | None = None
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

        A job may take `memory_mb` MiB and `threads` threads at the most, its result
        `max_result_mb` MiB; Aer computes on `device`.

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
        sandbox = cls(process, last_words)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: sandbox._channel, sock=ours)
        sandbox._dying = loop.create_task(sandbox._end_rides(), name="sandbox.dying")
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                ready = await sandbox._ready
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

    async def run(
        self, job: Job, *, timeout_s: float, on_start: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Run one job, after those that were given to it before; `on_start` is called then.

        Raises:
            SandboxDiedError: the process ended first. Of several jobs, the one it worked on learns
                why; the others were only in its company (`bystander`), and never started.
            TimeoutError: it took longer than `timeout_s` seconds, and is still at it.
        """
        if self._process.returncode is not None:
            raise await self.gone()
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        ride = _Ride(job, outcome, timeout_s, on_start)
        self._rides.append(ride)
        self._channel.send(job)
        if self._rides[0] is ride:
            self._begin(ride)
        try:
            return await outcome
        except asyncio.CancelledError:
            self.unfit_for = self.unfit_for or "cancelled"
            raise

    def cancel(self, job: Job) -> None:
        """Give up a job, because nobody wants it any more; end the process if it works on it."""
        for ride in self._rides:
            if ride.job is job and ride is self._rides[0]:
                self._is_cancelled = True
                self._kill()
            elif ride.job is job:
                _fail(ride, SandboxDiedError("cancelled", "The task was cancelled."))

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
        self._kill()
        self._channel.close()
        if self._dying:
            await self._dying
        await self._process.wait()
        self._last_words.close()

    def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    def _begin(self, ride: _Ride) -> None:
        """Take note that the process now works on this job."""
        self._last_words.clear()
        now = time.monotonic()
        if now - self._looked_at > _LOOK_AGAIN_S:
            self._oom_kills_before, self._looked_at = oom_kills(), now
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(ride.timeout_s, _STUCK_S), self._look_after, ride, now)
        if not ride.outcome.done():
            ride.on_start()

    def _look_after(self, ride: _Ride, started_at: float) -> None:
        """Let nobody wait behind a job that takes long, and none take too long."""
        left_s = ride.timeout_s - (time.monotonic() - started_at)
        if left_s > 0:
            if others := list(self._rides)[1:]:
                self.unfit_for = self.unfit_for or "stuck"
                self._send_away(others)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(left_s, self._look_after, ride, started_at)
            return
        self.unfit_for = "time_limit"
        _fail(ride, TimeoutError())
        self._send_away(list(self._rides)[1:])

    def _answered(self, frame: bytes) -> None:
        """Take the answer to the first job, and go on with the next."""
        if not self._ready.done():
            self._ready.set_result(msgspec.msgpack.decode(frame, type=Ready))
            return
        ride = self._rides.popleft()
        if self._timer:
            self._timer.cancel()
        outcome = _OUTCOMES.decode(frame)
        self.jobs_done += 1
        if not ride.outcome.done():
            ride.outcome.set_result(outcome)
        if outcome.is_spent:
            self.unfit_for = self.unfit_for or "memory"
            self._send_away(self._rides)
        elif self._rides:
            self._begin(self._rides[0])

    def _send_away(self, rides: Iterable[_Ride]) -> None:
        """Have jobs that were not started run somewhere else."""
        for ride in rides:
            _fail(ride, SandboxDiedError("bystander", "Another task used its sandbox up."))

    async def _end_rides(self) -> None:
        """Once the process has ended, say so to whoever waits for it."""
        death = await self.gone()
        await self._channel.is_closed.wait()
        if self._timer:
            self._timer.cancel()
        if not self._ready.done():
            self._ready.set_exception(death)
            self._ready.exception()
        self.unfit_for = self.unfit_for or death.reason
        if self._rides:
            _fail(self._rides.popleft(), death)
        self._send_away(self._rides)


def _fail(ride: _Ride, why: Exception) -> None:
    if not ride.outcome.done():
        ride.outcome.set_exception(why)


def _sandbox_environment(threads: int) -> dict[str, str]:
    """Pass on the environment without qjet's own settings, and with what bounds libraries."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OWN_SETTINGS)}
    return {**inherited, **_BOUNDS, "OMP_NUM_THREADS": str(threads)}
