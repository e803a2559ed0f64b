"""The executor's settings."""

import os
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from qjet_shared.settings import CommonSettings, Count, Port, Seconds
from qjet_shared.streams import DEFAULT_ACK_WAIT_S
from qjet_shared.submissions import Limits

CountOrAuto = Annotated[int, Meta(ge=0)]
_CGROUPS: Final = Path("/sys/fs/cgroup")


class ExecutorSettings(CommonSettings, frozen=True, kw_only=True):
    """What an executor is told; zero means "work it out from this machine".

    `sandboxes` says how many circuits run at once; there is one sandbox more, see `seats`. A task
    whose sandbox is killed is tried `max_attempts` times. `max_deliveries` bounds how often a task
    may come back from executors that cannot say why: they died, or lost the broker.
    """

    metrics_port: Port = 9101
    sandboxes: CountOrAuto = 0
    sandbox_threads: Count = 1
    sandbox_memory_mb: CountOrAuto = 0
    sandbox_max_tasks: Count = 10_000
    task_timeout_s: Seconds = 300.0
    max_attempts: Count = 5
    max_deliveries: Count = 25
    ack_wait_s: Seconds = DEFAULT_ACK_WAIT_S
    limits: Limits = Limits()

    @property
    def sandbox_count(self) -> int:
        """How many circuits run at once: as set, else one per core this process may use."""
        return self.sandboxes if self.sandboxes > 0 else usable_cores()

    @property
    def memory_per_sandbox_mb(self) -> int:
        """What Aer may take in one sandbox: as set, else a fair share of four fifths of it all."""
        if self.sandbox_memory_mb > 0:
            return self.sandbox_memory_mb
        return max(64, usable_memory_mb() * 4 // 5 // self.sandbox_count)


def usable_cores() -> int:
    """Return the cores this process may run on, by affinity and by the cgroup's quota.

    Source: kernel documentation, cgroup v2 `cpu.max`, cgroup v1 `cpu.cfs_quota_us`.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota, _, period = _read("cpu.max").partition(" ")
    if not period:
        quota, period = _read("cpu/cpu.cfs_quota_us"), _read("cpu/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit():
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def usable_memory_mb() -> int:
    """Return the memory this process may use, in MiB: the machine's, or less by its cgroup.

    Aer looks at the machine's alone.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (_read("memory.max"), _read("memory/memory.limit_in_bytes")):
        if limit.isdigit():
            total = min(total, int(limit))
    return total >> 20


def _read(name: str) -> str:
    try:
        return (_CGROUPS / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""
