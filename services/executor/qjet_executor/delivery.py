"""One delivery of a task, and every decision about its fate. Pure: no input or output.

What a delivery means is decided here and nowhere else: run it, drop it because its result is
known, try it again later, or end it with an error.
"""

from datetime import datetime
from enum import Enum
from typing import Final

from msgspec import Struct
from nats.aio.msg import Msg

from qjet_shared import subjects
from qjet_shared.errors import FieldError, QjetError
from qjet_shared.messages import TaskError

_LONGEST_MESSAGE: Final = 2000
_RETRY_DELAYS_S: Final = (0.2, 1.0, 5.0, 15.0)


class Delivery(Struct, frozen=True, kw_only=True):
    """What JetStream says of a message it hands us. `attempt` counts deliveries from 1."""

    task_id: str
    attempt: int
    created_at: datetime
    is_named_by_caller: bool


class Fate(Enum):
    """What to do with a delivery before running it."""

    RUN = "run"
    DROP = "drop"
    EXHAUSTED = "exhausted"


def read_delivery(msg: Msg) -> Delivery:
    """Read the delivery from the message's subject and its JetStream metadata."""
    return Delivery(
        task_id=subjects.task_id_of(msg.subject),
        attempt=msg.metadata.num_delivered or 1,
        created_at=msg.metadata.timestamp,
        is_named_by_caller=msg.subject.startswith(subjects.SUBMIT_PREFIX),
    )


def may_have_result(delivery: Delivery) -> bool:
    """Whether to look for a result first: it came before, or its id may have been used before."""
    return delivery.attempt > 1 or delivery.is_named_by_caller


def decide(*, attempt: int, max_deliveries: int, has_result: bool) -> Fate:
    """Decide before running: a known result wins over everything."""
    if has_result:
        return Fate.DROP
    return Fate.RUN if attempt <= max_deliveries else Fate.EXHAUSTED


def retry_after_death(*, attempt: int, max_attempts: int) -> float | None:
    """Return after how many seconds to try again once a sandbox died, or None to give up."""
    if attempt >= max_attempts:
        return None
    return _RETRY_DELAYS_S[min(attempt, len(_RETRY_DELAYS_S)) - 1]


def exhausted(attempt: int) -> TaskError:
    """Build the error of a task that was delivered too often without a result."""
    return TaskError(
        code="delivery_exhausted",
        message=f"The task was given to executors {attempt - 1} times and none delivered a result.",
        hint="Executors died or lost the broker while they held it. Submit it again, or smaller.",
    )


def sandbox_crashed(detail: str, attempt: int) -> TaskError:
    """Build the error of a task whose sandbox died each time."""
    return TaskError(
        code="sandbox_crashed",
        message=f"{detail} This was attempt {attempt}, the last one.",
        hint="A circuit that needs more memory than there is ends so; try fewer qubits.",
    )


def time_limit(timeout_s: float) -> TaskError:
    """Build the error of a task that took too long."""
    return TaskError(
        code="time_limit",
        message=f"The run was ended after its limit of {timeout_s:g} seconds.",
        hint="Ask for more with timeout_s, or for fewer shots, gates or qubits.",
    )


def refused(exc: QjetError) -> TaskError:
    """Build the error of a submission that could not be understood."""
    if isinstance(exc, FieldError):
        return TaskError(code="invalid_option", message=exc.message[:_LONGEST_MESSAGE])
    return TaskError(
        code="qasm_syntax",
        message=exc.message[:_LONGEST_MESSAGE],
        hint="Send OpenQASM text, or a JSON object with at least `qc`.",
    )


def bad_task_id() -> TaskError:
    """Build the error of a submission under an id that cannot be used."""
    return TaskError(
        code="invalid_option",
        message="task_id: letters, digits, `-` and `_` only, at most 128 of them.",
        hint="The id is what follows `qjet.submit.` in the subject.",
    )
