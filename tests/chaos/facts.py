"""What is known after a run: what each client was told, and what the broker holds of each task."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

FINAL_STATUSES = frozenset({"completed", "error", "cancelled"})


@dataclass
class Submitted:
    """One submission, as the client that made it saw it.

    `task_ids` are all ids it was answered with, or the one it chose itself. `answers` are the HTTP
    statuses, PubAcks and failures in order; `was_tried_anew` says that the client went on to submit
    the circuit as another task. `cancel` is the status that a cancellation was answered with in
    the end, if `is_cancel_asked`; `reads` are the states the client was shown.
    """

    name: str
    index: int
    kind: str
    door: str
    is_accepted: bool = False
    task_ids: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    was_tried_anew: bool = False
    is_cancel_asked: bool = False
    cancel: int | None = None
    reads: list[str] = field(default_factory=list)

    def is_told(self, task_id: str) -> None:
        """Take in that the task is accepted under this id."""
        self.is_accepted = True
        if task_id not in self.task_ids:
            self.task_ids.append(task_id)


@dataclass(frozen=True)
class Run:
    """A `running` event that was heard."""

    attempt: int
    at: datetime
    executor: str


@dataclass
class Kept:
    """What the broker holds, and what was heard, of one task.

    `waiting` counts its messages in the work queue; `results` are those on the results stream in
    order; `finals` and `heard` are the statuses of its final events, stored and heard live.
    """

    task_id: str
    waiting: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    entry: dict[str, Any] | None = None
    finals: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def status(self) -> str | None:
        """The state in the bucket."""
        return self.entry["status"] if self.entry else None

    @property
    def deliveries(self) -> int:
        """The highest delivery number that anybody spoke of."""
        counted = self.entry.get("attempts", 0) if self.entry else 0
        return max([counted, *(run.attempt for run in self.runs)])


@dataclass
class Facts:
    """All that the check looks at.

    `overwritten` counts bucket entries that another replaced; `broker_deaths` are the moments
    since which the broker may have forgotten what it had not written down; `is_settled` says that
    all was done in the end.
    """

    submitted: list[Submitted] = field(default_factory=list)
    kept: dict[str, Kept] = field(default_factory=dict)
    overwritten: int = 0
    longest_stop_s: float = 0.0
    broker_deaths: list[datetime] = field(default_factory=list)
    is_settled: bool = True

    def tasks_of(self) -> dict[str, list[Kept]]:
        """Return each submission's tasks: those it was told of, and those that bear its name."""
        found: dict[str, dict[str, Kept]] = defaultdict(dict)
        for submitted in self.submitted:
            for task_id in submitted.task_ids:
                if task_id in self.kept:
                    found[submitted.name][task_id] = self.kept[task_id]
        for kept in self.kept.values():
            for state in filter(None, [kept.entry, *kept.results]):
                if name := state.get("name"):
                    found[name][kept.task_id] = kept
        return {name: list(tasks.values()) for name, tasks in found.items()}
