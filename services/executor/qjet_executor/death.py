"""How a sandbox died: found from its exit, from what it last wrote and from the kernel's count.

What it wrote may hold paths and pieces of a circuit. It is looked through here and shown to nobody.
"""

import fcntl
import os
import re
import signal
import tempfile
from typing import Final, Literal

DeathReason = Literal["memory", "killed", "crashed", "cancelled", "bystander", "start", "hopeless"]

_OUT_OF_MEMORY: Final = re.compile(
    rb"bad_alloc|MemoryError|memory allocation of \d+ bytes failed|[Oo]ut of memory"
    rb"|[Cc]annot allocate memory|[Mm]emory allocation (?:still )?failed"
)
"""Words of C++'s runtime, CPython, Rust's runtime, libgomp, glibc and OpenBLAS."""

_FROM_OUTSIDE: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_LONGEST_WORDS: Final = 16_384
"""Bytes read from either end: a runtime says first what is wrong, CPython last."""


class SandboxDiedError(Exception):
    """The process ended before it answered.

    `reason` is `memory` (it took more than it may have), `killed` (from outside: another try can
    help), `crashed` (by itself: the same circuit mostly does it again), `cancelled`, `bystander`
    (another task was to blame), `start` (it never got ready), or `hopeless` (nor would another one
    here).
    """

    def __init__(self, reason: DeathReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: DeathReason = reason


class LastWords:
    """A sandbox's standard error: a file in memory, so that nothing waits for a reader."""

    def __init__(self) -> None:
        """Make the file; `descriptor` is for the child to write to."""
        if hasattr(os, "memfd_create"):
            self._file = os.fdopen(os.memfd_create("sandbox"), "r+b", buffering=0)
        else:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed by `close`
        fcntl.fcntl(self.descriptor, fcntl.F_SETFL, os.O_APPEND)

    @property
    def descriptor(self) -> int:
        """The file descriptor."""
        return self._file.fileno()

    def clear(self) -> None:
        """Forget what was written up to now."""
        self._file.truncate(0)

    def speak_of_memory(self) -> bool:
        """Whether the process said that it got no memory."""
        return not self._file.closed and bool(_OUT_OF_MEMORY.search(self._read()))

    def close(self) -> None:
        """Give the memory back."""
        self._file.close()

    def _read(self) -> bytes:
        size = os.fstat(self.descriptor).st_size
        first = os.pread(self.descriptor, _LONGEST_WORDS, 0)
        return first + os.pread(self.descriptor, _LONGEST_WORDS, max(0, size - _LONGEST_WORDS))


def diagnose(
    code: int, *, says_no_memory: bool, was_oom_killed: bool, is_cancelled: bool = False
) -> SandboxDiedError:
    """Tell from a process's exit code (negative: the signal that ended it) how it died."""
    if is_cancelled:
        return SandboxDiedError("cancelled", "The task was cancelled.")
    if says_no_memory or (code == -signal.SIGKILL and was_oom_killed):
        return SandboxDiedError("memory", "The sandbox ran out of memory.")
    if code >= 0:
        return SandboxDiedError("crashed", f"The sandbox ended with exit code {code}.")
    detail = f"The sandbox was ended by signal {-code} ({_signal_name(-code)})."
    return SandboxDiedError("killed" if -code in _FROM_OUTSIDE else "crashed", detail)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "real-time"
