"""What the stack's processes take: processor time and memory, as the kernel counts them.

Source: proc(5), /proc/PID/stat (`utime`, `stime`) and /proc/PID/smaps_rollup (`Rss`, `Pss`).
"""

import os
import re
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from tests.support.stack import descendants

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_MEMORY = re.compile(r"^(Rss|Pss): +(\d+) kB$", re.MULTILINE)


def tree(pid: int) -> dict[int, str]:
    """Return all processes below `pid`, each with what it runs."""
    found = descendants(pid)
    for child in list(found):
        found |= tree(child)
    return found


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken so far, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


class CpuMeter:
    """Counts the processor time of all processes below one, and of this one, from now on."""

    def __init__(self, pid: int) -> None:
        """Take the process whose children are meant."""
        self._names = {**tree(pid), os.getpid(): "client"}
        self._before = {each: cpu_s(each) for each in self._names}

    def taken(self) -> dict[str, float]:
        """Return the seconds taken since, by what the processes run; not of those that ended."""
        found: dict[str, float] = defaultdict(float)
        for pid, name in self._names.items():
            with suppress(FileNotFoundError):
                found[name] += cpu_s(pid) - self._before[pid]
        return dict(found)


def memory_mib(pids: list[int]) -> dict[str, float]:
    """Return the memory of processes together in MiB: `rss`, and `pss` that counts shared once."""
    sums = {"rss": 0.0, "pss": 0.0}
    for pid in pids:
        for name, kib in _MEMORY.findall(Path(f"/proc/{pid}/smaps_rollup").read_text()):
            sums[name.lower()] += int(kib) / 1024
    return sums


def pin(pid: int, cores: set[int]) -> None:
    """Keep every thread of a process on `cores`; those it starts later follow."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
