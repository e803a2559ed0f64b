"""What the kernel holds a sandbox to, and whether it still has room for another job. Sandbox only.

RLIMIT_DATA counts private writable memory, wherever it comes from: heap, anonymous mappings,
thread stacks. RLIMIT_AS would count address space as well, of which libraries and allocators
reserve gigabytes that nobody ever touches. Since it counts what is mapped rather than what is
used, allocators are told not to map ahead (see `child`), and the limit starts from what the warm
sandbox has.

Source: setrlimit(2), RLIMIT_DATA since Linux 4.7; proc(5), /proc/PID/statm.
"""

import ctypes
import gc
import os
import resource
from collections.abc import Callable
from typing import Final

from qjet_executor.refusals import MIB

_SLACK_BYTES: Final = 128 * MIB
"""What parsers and caches may keep from one job to the next, on top of what a job may use."""

_MOST_FILE_BYTES: Final = MIB
"""Standard error is a file in memory; nothing else is written."""

_DATA_FIELD: Final = 5
_STATM: Final = "/proc/self/statm"


class Confinement:
    """The limits of this process, set when it is made; every job starts with all of its memory."""

    def __init__(self, most_mb: int) -> None:
        """Allow `most_mb` MiB on top of what the process has now, and never more."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_FILE_BYTES, _MOST_FILE_BYTES))
        self._statm = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC) if os.path.exists(_STATM) else -1  # noqa: PTH110  # as close to the kernel as it gets
        self._kept = self._data_bytes() + _SLACK_BYTES
        self._most = self._kept + most_mb * MIB
        self._set_limit(self._most)

    def allow(self, memory_mb: int) -> None:
        """Let the next job have `memory_mb` MiB."""
        self._set_limit(min(self._most, self._kept + memory_mb * MIB))

    def _set_limit(self, limit: int) -> None:
        if self._statm >= 0:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, self._most))

    def is_spent(self, forget: Callable[[], None]) -> bool:
        """Whether so much memory is kept that the next job would not have all of its own.

        `forget` drops what need not be kept; it is called only where that matters.
        """
        if self._data_bytes() <= self._kept:
            return False
        forget()
        gc.collect()
        _trim_heap()
        return self._data_bytes() > self._kept

    def _data_bytes(self) -> int:
        if self._statm < 0:
            return 0
        fields = os.pread(self._statm, 256, 0).split()
        return int(fields[_DATA_FIELD]) * resource.getpagesize()


def _trim_heap() -> None:
    """Give back what glibc keeps free; other C libraries have no such call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
