"""One supervised process: started, brought back when it dies, ended."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from qjet_shared import lifeline

log = logging.getLogger(__name__)

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 10.0
_HEALTHY_S: Final = 30.0
_BAD_USE: Final = 2


class Program(Struct, frozen=True, kw_only=True):
    """What to run. `inherit` lists file descriptors the process keeps open across restarts."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    log_file: Path
    inherit: tuple[int, ...] = ()
    grace_s: float = 30.0


class Supervised:
    """A program that is brought back, with growing pauses, until it is told to stop."""

    def __init__(
        self,
        program: Program,
        report: Callable[[str], None],
        give_up: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take what to run, and how to tell people what happens to it.

        `give_up` is told the last words of a program that ends with code 2: started again with
        the same settings, it would only say them again.
        """
        self.program = program
        self._report = report
        self._give_up = give_up
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and begin to watch over it."""
        await self._spawn()
        self._keeping = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")

    async def stop(self) -> None:
        """Ask it to end, and end it if it does not within its grace period."""
        if self._keeping:
            self._keeping.cancel()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.program.grace_s):
                await process.wait()
        except TimeoutError:
            self._report(f"{self.program.name} did not stop in time and is killed")
            self.kill()
            await process.wait()

    def restart(self) -> None:
        """Ask it to end; it is then brought back as if it had died."""
        if self._process and self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def _spawn(self) -> None:
        """Start the process in a session of its own: Ctrl-C is for the supervisor alone."""
        with self.program.log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *lifeline.command(*self.program.argv),
                env=dict(self.program.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=self.program.inherit,
                start_new_session=True,
            )

    def _last_words(self) -> str:
        lines = self.program.log_file.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    async def _keep(self) -> None:
        wait_s = _FIRST_WAIT_S
        while self._process:
            started = time.monotonic()
            code = await self._process.wait()
            if time.monotonic() - started > _HEALTHY_S:
                wait_s = _FIRST_WAIT_S
            if code == _BAD_USE:
                self._give_up(f"{self.program.name} cannot start: {self._last_words()}")
                return
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._report(f"{self.program.name} {how}; starting it again in {wait_s:g} s")
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            await self._spawn()
