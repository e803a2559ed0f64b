"""The executor's settings."""

from typing import Annotated

from msgspec import Meta

from qjet_executor.machine import usable_cores, usable_memory_mb
from qjet_executor.protocol import DEFAULT_MAX_RESULT_MB, Device
from qjet_executor.seats import SPARE
from qjet_shared.settings import CommonSettings, Count, Port, Seconds
from qjet_shared.streams import DEFAULT_ACK_WAIT_S
from qjet_shared.submissions import Limits

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
    sandbox_threads: Count = 1
    sandbox_memory_mb: CountOrAuto = 0
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
    def memory_per_sandbox_mb(self) -> int:
        """What a run may take in a sandbox: as set, else a fair share of four fifths of it all."""
        if self.sandbox_memory_mb > 0:
            return self.sandbox_memory_mb
        return max(64, usable_memory_mb() * 4 // 5 // (self.sandbox_count + SPARE))
