"""The executor's end of one sandbox: start it, give it jobs, end it."""

import asyncio
import os
import socket
import sys
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from qjet_executor.protocol import HEADER, Job, Outcome, Ready, frame
from qjet_shared import lifeline

_START_TIMEOUT_S: Final = 120.0
_OWN_SETTINGS: Final = "QJET_"  # not for a circuit's eyes: the broker's address, say

Message = TypeVar("Message", bound=Struct)


class SandboxDiedError(Exception):
    """The process ended before it answered: `killed`, `crashed`, `cancelled` or at its `start`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Sandbox:
    """One warm child process, for one job at a time.

    `unfit_for` says why it can take no more jobs (`time_limit`, `killed`, `crashed`, `cancelled`),
    and is empty while it can.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._is_cancelled = False
        self.jobs_done = 0
        self.unfit_for = ""

    @classmethod
    async def start(cls, *, memory_mb: int, threads: int) -> "Sandbox":
        """Start a process and wait until it is warm.

        Raises:
            SandboxDiedError: it ended, or could not import or run what it needs.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = (str(theirs.fileno()), str(memory_mb), str(threads))
            process = await asyncio.create_subprocess_exec(
                *lifeline.command(sys.executable, "-m", "qjet_executor.sandbox", *arguments),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=_sandbox_environment(),
                start_new_session=True,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        sandbox = cls(process, reader, writer)
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
            raise SandboxDiedError("start", ready.trouble)
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
        try:
            async with asyncio.timeout(timeout_s):
                outcome = await self._ask(job)
        except TimeoutError:
            self.unfit_for = "time_limit"
            raise
        except SandboxDiedError as exc:
            self.unfit_for = exc.reason
            raise
        self.unfit_for = ""
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
        if self._is_cancelled:
            return SandboxDiedError("cancelled", "The task was cancelled.")
        if code < 0:
            return SandboxDiedError("killed", f"The sandbox was ended by signal {-code}.")
        return SandboxDiedError("crashed", f"The sandbox ended with exit code {code}.")

    async def kill(self) -> None:
        """End the process, whatever it does, and reap it."""
        if self._process.returncode is None:
            self._process.kill()
        self._writer.close()
        await self._process.wait()

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


def _sandbox_environment() -> dict[str, str]:
    """Pass on the environment without qjet's own settings, and with one BLAS thread."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OWN_SETTINGS)}
    return {**inherited, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
