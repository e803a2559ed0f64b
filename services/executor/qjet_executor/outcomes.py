"""Builds the final `Task` from a submission, its delivery and what came of it. Pure."""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from qjet_executor.delivery import Delivery
from qjet_executor.protocol import Outcome
from qjet_shared.messages import (
    Blob,
    LargeResult,
    Submission,
    Task,
    TaskError,
    Timings,
    utc_now,
)

_MICROSECONDS: Final = 6
"""Digits after the point."""


def completed(
    delivery: Delivery,
    submission: Submission,
    outcome: Outcome,
    *,
    executor: str,
    started_at: datetime,
) -> Task:
    """Build a completed task; counts and memory stay the JSON text the sandbox made."""
    task = failed(delivery, submission, None, executor=executor, started_at=started_at)
    phases = outcome.phases
    timings = Timings(
        queue=max(0.0, (started_at - delivery.created_at).total_seconds()),
        parse=round(phases.parse, _MICROSECONDS),
        transpile=round(phases.transpile, _MICROSECONDS),
        simulate=round(phases.simulate, _MICROSECONDS),
    )
    counts: Any = Raw(outcome.counts)
    memory: Any = Raw(outcome.memory) if outcome.memory else UNSET
    return msgspec.structs.replace(
        task,
        status="completed",
        message="Task completed.",
        result=counts,
        method=outcome.method,
        timings=timings,
        memory=memory,
    )


def failed(
    delivery: Delivery,
    submission: Submission | None,
    error: TaskError | None,
    *,
    executor: str,
    started_at: datetime | None,
) -> Task:
    """Build a task that ended with `error`; `submission` is None where it could not be read."""
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
    )


def without_counts(task: Task, blob: Blob) -> Task:
    """Return `task` with its large members replaced by the name of the blob that holds them."""
    return msgspec.structs.replace(task, result=None, memory=UNSET, blob=blob)


def large_part(outcome: Outcome) -> bytes:
    """Return the members that `without_counts` takes away, as the blob holds them."""
    memory = Raw(outcome.memory) if outcome.memory else UNSET
    return msgspec.json.encode(LargeResult(result=Raw(outcome.counts), memory=memory))
