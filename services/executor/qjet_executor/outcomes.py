"""Builds the final `Task` from a submission, its delivery and what came of it. Pure."""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from qjet_executor.delivery import Delivery
from qjet_executor.protocol import Outcome, Phases
from qjet_shared.clock import utc_now
from qjet_shared.messages.submission import Submission
from qjet_shared.messages.task import Blob, LargeResult, Task, TaskError, Timings

_MICROSECONDS: Final = 6
"""Digits after the point."""

_NULL: Final = b"null"


def completed(
    delivery: Delivery,
    submission: Submission,
    outcome: Outcome,
    *,
    executor: str,
    started_at: datetime,
) -> Task:
    """Build a completed task; counts and memory stay the JSON text the sandbox made."""
    task = failed(
        delivery,
        submission,
        None,
        executor=executor,
        started_at=started_at,
        phases=outcome.phases,
    )
    counts: Any = _counts(outcome)
    memory: Any = _raw(outcome.memory)
    values: Any = _raw(outcome.expectation_values)
    return msgspec.structs.replace(
        task,
        status="completed",
        message="Task completed.",
        result=counts,
        method=outcome.method,
        memory=memory,
        expectation_values=values,
    )


def failed(  # noqa: PLR0913  # all by name
    delivery: Delivery,
    submission: Submission | None,
    error: TaskError | None,
    *,
    executor: str,
    started_at: datetime | None,
    phases: Phases | None = None,
) -> Task:
    """Build a task that ended with `error`; `submission` is None where it could not be read.

    `phases` are None where no sandbox said how long they took.
    """
    timings = _timings(delivery, started_at, phases) if started_at and phases else None
    return Task(
        task_id=delivery.task_id,
        status="error",
        message=error.message if error else "",
        error=error,
        shots=submission.shots if submission else None,
        seed=submission.seed if submission else None,
        method=submission.method if submission else None,
        tags=submission.tags if submission else (),
        name=submission.name if submission else None,
        created_at=delivery.created_at,
        started_at=started_at,
        finished_at=utc_now(),
        attempts=delivery.attempt if started_at else delivery.attempt - 1,
        executor=executor,
        timings=timings,
    )


def without_counts(task: Task, blob: Blob) -> Task:
    """Return `task` with its large members replaced by the name of the blob that holds them."""
    return msgspec.structs.replace(
        task, result=None, memory=UNSET, expectation_values=UNSET, blob=blob
    )


def large_part(outcome: Outcome) -> bytes:
    """Return the members that `without_counts` takes away, as the blob holds them."""
    large = LargeResult(
        result=_counts(outcome),
        memory=_raw(outcome.memory),
        expectation_values=_raw(outcome.expectation_values),
    )
    return msgspec.json.encode(large)


def _timings(delivery: Delivery, started_at: datetime, phases: Phases) -> Timings:
    seconds = {
        name: round(each, _MICROSECONDS) for name, each in msgspec.structs.asdict(phases).items()
    }
    waited_s = (started_at - delivery.created_at).total_seconds()
    return Timings(queue=max(0.0, waited_s), **seconds)


def _counts(outcome: Outcome) -> Raw:
    return Raw(outcome.counts or _NULL)


def _raw(text: bytes) -> Raw | UnsetType:
    return Raw(text) if text else UNSET
