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
from qjet_shared.messages.task import Attempt, TaskError
from qjet_shared.moments import queued_at

_LONGEST_MESSAGE: Final = 2000
_RETRY_DELAYS_S: Final = (0.2, 1.0, 5.0, 15.0)
_MOST_CRASHES: Final = 2
"""A crash mostly comes from the circuit itself; once more tells a chance from a habit."""


class Delivery(Struct, frozen=True, kw_only=True):
    """What JetStream says of a message it hands us, and what became of those before it.

    `number` counts deliveries from 1; `history` lists those that an executor could account for.
    """

    task_id: str
    number: int
    lane: str
    created_at: datetime
    is_named_by_caller: bool = False
    is_moved: bool = False
    digest: str = ""
    history: tuple[Attempt, ...] = ()

    @property
    def attempt(self) -> int:
        """How often the task was started, this time included."""
        return self.number - sum(past.ended == "not_started" for past in self.history)

    @property
    def unaccounted(self) -> int:
        """How many earlier deliveries nobody accounts for: their executor died or was cut off."""
        return max(0, self.number - 1 - len(self.history))


class Fate(Enum):
    """What to do with a delivery before running it."""

    RUN = "run"
    DROP = "drop"
    EXHAUSTED = "exhausted"


def read_delivery(msg: Msg) -> Delivery:
    """Read the delivery from the message's subject, headers and JetStream metadata."""
    headers = msg.headers or {}
    moved_from = _time(headers.get(subjects.CREATED_AT, ""))
    is_large = msg.subject.startswith(subjects.task(subjects.LARGE_LANE, ""))
    return Delivery(
        task_id=subjects.task_id_of(msg.subject),
        number=msg.metadata.num_delivered or 1,
        lane=subjects.LARGE_LANE if is_large else subjects.DEFAULT_LANE,
        created_at=moved_from or queued_at(msg),
        is_named_by_caller=msg.subject.startswith(subjects.SUBMIT_PREFIX),
        is_moved=moved_from is not None,
        digest=headers.get(subjects.DIGEST, ""),
    )


def may_have_result(delivery: Delivery, *, connected_at: datetime) -> bool:
    """Whether to look for a result first: it came before, or its id may have been used before.

    A broker that was killed brings back messages that had left the queue, as new ones. So what was
    submitted before `connected_at`, when this process last reached a broker, may have been run.
    """
    return (
        delivery.number > 1
        or delivery.created_at <= connected_at
        or delivery.is_named_by_caller
        or delivery.is_moved
        or bool(delivery.digest)
    )


def decide(delivery: Delivery, *, max_deliveries: int, has_result: bool) -> Fate:
    """Decide before running: a known result wins over everything."""
    if has_result:
        return Fate.DROP
    return Fate.RUN if delivery.unaccounted < max_deliveries else Fate.EXHAUSTED


def retry_after_death(delivery: Delivery, reason: str, *, max_attempts: int) -> float | None:
    """Return after how many seconds to try again once a sandbox died, or None to give up.

    A sandbox `killed` from outside says nothing against the circuit; one that `crashed` does.
    """
    deaths = 1 + sum(past.ended == reason for past in delivery.history)
    most = max_attempts if reason == "killed" else min(_MOST_CRASHES, max_attempts)
    if deaths >= most:
        return None
    return _RETRY_DELAYS_S[min(deaths, len(_RETRY_DELAYS_S)) - 1]


def exhausted(delivery: Delivery) -> TaskError:
    """Build the error of a task that was delivered too often without a result."""
    return TaskError(
        code="delivery_exhausted",
        message=f"The task was given to executors {delivery.number - 1} times and none delivered a "
        f"result; {delivery.unaccounted} of them never said why.",
        hint="Executors died or lost the broker while they held it. Submit it again, or smaller.",
        history=delivery.history,
    )


def sandbox_crashed(detail: str, delivery: Delivery) -> TaskError:
    """Build the error of a task whose sandbox died each time."""
    return TaskError(
        code="sandbox_crashed",
        message=f"{detail} This was attempt {delivery.attempt}, the last one.",
        hint="The simulator itself failed on this circuit, as it may when memory runs out: try "
        "fewer qubits or shots, or another method.",
        history=delivery.history,
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


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
