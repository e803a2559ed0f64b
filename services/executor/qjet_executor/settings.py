"""The executor's settings."""

import os

from qjet_shared.settings import CommonSettings, Count, Port, Seconds


class ExecutorSettings(CommonSettings, frozen=True, kw_only=True):
    """What an executor is told; zero means "work it out from this machine".

    `max_attempts` deliveries of one task are tried before it ends as `delivery_exhausted`.
    """

    metrics_port: Port = 9101
    sandboxes: int = 0
    sandbox_threads: Count = 1
    sandbox_memory_mb: int = 0
    sandbox_max_tasks: Count = 10_000
    task_timeout_s: Seconds = 300.0
    max_timeout_s: Seconds = 3600.0
    max_shots: Count = 1_000_000
    max_attempts: Count = 5
    ack_wait_s: Seconds = 30.0

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
    """Return the cores this process may run on, by affinity and by the cgroup's quota."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def usable_memory_mb() -> int:
    """Return the memory this process may use, in MiB: the machine's, or less by its cgroup.

    Aer looks at the machine's alone.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read("/sys/fs/cgroup/memory.max")
    if limit.isdigit():
        total = min(total, int(limit))
    return total >> 20


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123  # two words from the kernel
            return file.read().strip()
    except OSError:
        return ""
