"""What this machine, or the container around this process, lets it have.

Aer looks at the machine's memory alone; a container has less. Limits of every control group from
the process's own up to the root count, in cgroup v2 and v1.

Source: kernel documentation, cgroup-v2 (`cpu.max`, `memory.max`, `memory.events`) and cgroup-v1
(`cpu.cfs_quota_us`, `memory.limit_in_bytes`, `memory.oom_control`); proc(5), /proc/PID/cgroup.
"""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
_MEMBERSHIPS: Final = Path("/proc/self/cgroup")
_LARGEST_COUNT_FILE: Final = 4096
_OOM_KILLS: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def usable_cores() -> int:
    """Return the cores this process may run on, by affinity and by its control groups' quotas."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    for group in _groups("cpu"):
        quota, _, period = _read(group / "cpu.max").partition(" ")
        if not period:
            quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def usable_memory_mb() -> int:
    """Return the memory this process may use, in MiB: the machine's, or less by control group."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for group in _groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _read(group / name)
            if limit.isdigit():
                total = min(total, int(limit))
    return total >> 20


def oom_kills() -> int:
    """Return how many processes of this one's control group the kernel killed for want of memory.

    Zero where there is no control group to say so.
    """
    descriptor = _oom_count_descriptor()
    if descriptor is None:
        return 0
    found = _OOM_KILLS.search(os.pread(descriptor, _LARGEST_COUNT_FILE, 0).decode("ascii"))
    return int(found[1]) if found else 0


@cache
def _oom_count_descriptor() -> int | None:
    """Open the file that counts, once: it is read before every job."""
    for group in _groups("memory"):
        for name in ("memory.events", "memory.oom_control"):
            if _OOM_KILLS.search(_read(group / name)):
                return os.open(group / name, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control groups for `controller`, its own one first.

    Inside a container the path that the kernel tells may not exist; the root then stands for it.
    """
    for line in _read(_MEMBERSHIPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = _CGROUPS / controllers if controllers else _CGROUPS
        own = PurePosixPath(path.lstrip("/"))
        for group in (own, *own.parents):
            yield mount / group


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
