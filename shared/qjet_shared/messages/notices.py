"""What services tell each other, and whoever listens, while tasks are on their way."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from qjet_shared.messages.task import Status, TaskError


class Claim(Struct, frozen=True, kw_only=True):
    """What somebody is submitting, or was, under an idempotency key."""

    digest: str
    at: Annotated[datetime, Meta(tz=True)]


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task changed its state."""

    task_id: str
    status: Status
    at: datetime
    executor: str | None = None
    attempt: int | None = None
    error: TaskError | None = None


class RunningTask(Struct, frozen=True, kw_only=True):
    """A task that an executor works on now."""

    task_id: str
    started_at: datetime
    attempt: int


class Heartbeat(Struct, frozen=True, kw_only=True):
    """One process tells that it lives, whether it can work, and what it works on.

    `broker_trouble` is a sentence for operators about what keeps the broker from taking tasks.
    """

    service: str
    instance: str
    version: str
    is_ready: bool
    running: tuple[RunningTask, ...] = ()
    broker_trouble: str | None = None
