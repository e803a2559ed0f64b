"""The executor's settings."""

from typing import Annotated, Final

from msgspec import Meta

from qjet_executor.budget import MemoryPlan
from qjet_executor.machine import usable_cores, usable_memory_mb
from qjet_executor.protocol import DEFAULT_MAX_RESULT_MB, Device
from qjet_executor.seats import SPARE
from qjet_shared.settings import CommonSettings, Count, Port, Seconds
from qjet_shared.streams import DEFAULT_ACK_WAIT_S
from qjet_shared.submissions import Limits

_LEAST_MB: Final = 64
_MOST_OWN_MB: Final = 256
"""A state of 24 qubits: larger tasks are few, and can wait for one another."""

CountOrAuto = Annotated[int, Meta(ge=0)]


class ExecutorSettings(CommonSettings, frozen=True, kw_only=True):
    """What an executor is told; zero means "work it out from this machine".

    `sandboxes` says how many circuits run at once; there is one sandbox more, see `seats`. A task
    whose sandbox is killed is tried `max_attempts` times. `max_deliveries` bounds how often a task
    may come back from executors that cannot say why: they died, or lost the broker.
    `executor_device` says where Aer computes; GPU needs a build of Aer that has it.
    """

    metrics_port: Port = 9101
    sandboxes: CountOrAuto = 0
    sandbox_threads: CountOrAuto = 0
    sandbox_memory_mb: CountOrAuto = 0
    memory_budget_mb: CountOrAuto = 0
    sandbox_max_tasks: Count = 10_000
    executor_device: Device = "CPU"
    max_result_mb: Count = DEFAULT_MAX_RESULT_MB
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
    def cores(self) -> int:
        """How many threads one run may have at most: as set, else one per core."""
        return self.sandbox_threads if self.sandbox_threads > 0 else usable_cores()

    @property
    def memory_plan(self) -> MemoryPlan:
        """How runs share memory: as much as is set for each, or for all, or four fifths of it."""
        if fixed := self.sandbox_memory_mb:
            return MemoryPlan(own_mb=fixed, share_mb=fixed, most_mb=fixed, pool_mb=0)
        sandboxes = self.sandbox_count + SPARE
        budget_mb = self.memory_budget_mb or usable_memory_mb() * 4 // 5
        share_mb = max(_LEAST_MB, budget_mb // sandboxes)
        own_mb = max(_LEAST_MB, min(_MOST_OWN_MB, share_mb // 4))
        pool_mb = (share_mb - own_mb) * sandboxes
        return MemoryPlan(
            own_mb=own_mb, share_mb=share_mb, most_mb=own_mb + pool_mb, pool_mb=pool_mb
        )
