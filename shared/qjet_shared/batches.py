"""Batches: what is handed in and told about many tasks at once, and the names of their tasks.

A batch has no record of its own: its id says how many tasks it has, and theirs follow from it.
"""

import re
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from qjet_shared.messages.submission import Submission

LARGEST_BATCH: Final = 1000
"""Most tasks of a batch.

Source: nats-server `server/stream.go`, streamDefaultMaxAtomicBatchSize.
"""

_ID: Final = re.compile(
    r"([0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})-x(\d+)"
)

MemberStatus = Literal["pending", "running", "completed", "error", "cancelled", "gone"]


class BatchName(Struct, frozen=True):
    """How a batch is called: a UUID, and how many tasks it has."""

    uuid: str
    size: int

    @property
    def batch_id(self) -> str:
        """The public id, `<uuid>-x200` for a batch of 200."""
        return f"{self.uuid}-x{self.size}"

    @property
    def task_ids(self) -> list[str]:
        """Each task's id, in the order of submission, which is also that of the ids as text."""
        return [f"{self.uuid}-{index:03}" for index in range(self.size)]


def batch_name(batch_id: str) -> BatchName | None:
    """Read a batch's id, or return None for what is none."""
    found = _ID.fullmatch(batch_id)
    if found is None:
        return None
    name = BatchName(found[1], int(found[2][:5]))
    return name if 1 <= name.size <= LARGEST_BATCH and name.batch_id == batch_id else None


class BatchSubmission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many tasks handed in at once: all of them are accepted, or none."""

    tasks: Annotated[tuple[Submission, ...], Meta(min_length=1, max_length=LARGEST_BATCH)]


class BatchAccepted(Struct, frozen=True, kw_only=True):
    """The answer to a batch whose tasks are all on disk."""

    batch_id: str
    task_ids: Annotated[tuple[str, ...], Meta(description="In the order of `tasks`.")]


class Member(Struct, frozen=True, kw_only=True):
    """A task of a batch, and where it is."""

    task_id: str
    status: Annotated[
        MemberStatus, Meta(description="As a task's; gone: deleted, or its result has expired.")
    ]


class BatchCounts(Struct, frozen=True, kw_only=True):
    """How many tasks of a batch have each status."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    error: int = 0
    cancelled: int = 0
    gone: int = 0

    @property
    def unfinished(self) -> int:
        """How many tasks may still change their status."""
        return self.pending + self.running


class BatchState(Struct, frozen=True, kw_only=True):
    """A batch as it is."""

    batch_id: str
    counts: BatchCounts
    tasks: Annotated[
        tuple[Member, ...],
        Meta(description="In the order of submission; with `results`, finished ones in full."),
    ]
