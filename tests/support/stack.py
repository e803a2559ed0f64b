"""The whole stack as real processes: `qjet up` on free ports."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_S = 120.0
STOP_S = 60.0
_READY = re.compile(r"qjet ready http=(\S+) nats=(\S+)")


@dataclass(frozen=True)
class RunningStack:
    """A `qjet up` that is ready."""

    process: subprocess.Popen[bytes]
    http: str
    nats: str
    data_dir: Path
    output_file: Path

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self.output_file.read_text()

    def children(self) -> dict[str, int]:
        """Return the process id of each process it started, by what it runs."""
        return {name: pid for pid, name in descendants(self.process.pid).items()}

    def pids(self, name: str) -> list[int]:
        """Return the process ids of all that run `name`, as `children` names it, oldest first."""
        found = descendants(self.process.pid)
        return sorted(pid for pid, runs in found.items() if runs == name)

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


@contextmanager
def running_stack(
    folder: Path,
    *arguments: str,
    environ: dict[str, str] | None = None,
    launcher: Sequence[str] = (),
) -> Iterator[RunningStack]:
    """Run `qjet up` in `folder` on free ports, and end it at the end.

    `launcher` is a command that becomes the one that follows it, in a small file system, say.
    """
    output_file = folder / "up.log"
    data_dir = folder / "data"
    command = [
        *launcher,
        sys.executable,
        "-m",
        "qjet",
        "up",
        "--http-port",
        "0",
        "--nats-port",
        "0",
    ]
    if "--data-dir" not in arguments:
        command += ["--data-dir", str(data_dir)]
    with output_file.open("wb") as output:
        process = subprocess.Popen(
            [*command, *arguments],
            stdout=output,
            stderr=output,
            env={**os.environ, "COLUMNS": "200", **(environ or {})},
        )
    try:
        http, nats = _wait_ready(process, output_file)
        yield RunningStack(process, http, nats, data_dir, output_file)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_ready(process: subprocess.Popen[bytes], output_file: Path) -> tuple[str, str]:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        lines = _READY.findall(output_file.read_text())
        if lines:
            return lines[-1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"qjet up did not get ready:\n{output_file.read_text()}")


def descendants(pid: int) -> dict[int, str]:
    """Return the direct children of `pid`, each with the module or program it runs."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
            words = (status.parent / "cmdline").read_bytes().decode().split("\0")
        except (OSError, IndexError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found[int(status.parent.name)] = _name(words)
    return found


def _name(words: list[str]) -> str:
    if "-m" in words:
        return words[words.index("-m") + 1]
    return Path(words[0]).name
