"""A task: as it is shown, and as it is stored once it is final."""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from qjet_shared.clock import utc_now

Status = Literal["pending", "running", "completed", "error", "cancelled"]

ErrorCode = Literal[
    "qasm_syntax",
    "qasm_unsupported",
    "no_measurements",
    "invalid_option",
    "too_many_qubits",
    "memory_limit",
    "time_limit",
    "simulation_failed",
    "sandbox_crashed",
    "delivery_exhausted",
]

FINAL_STATUSES: Final = frozenset({"completed", "error", "cancelled"})

Ended = Literal["crashed", "killed", "handed_back", "not_started"]


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A delivery of a task to an executor that came to nothing, and why.

    `crashed`: it brought its sandbox down. `killed`: its sandbox was killed from outside.
    `handed_back`: its executor was told to stop. `not_started`: it went back to the queue unrun.
    """

    delivery: Annotated[int, Meta(description="Which of its deliveries it was, from 1.")]
    ended: Ended
    at: datetime
    executor: str
    detail: str = ""


class TaskError(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a task ended with `status: error`. Lines and columns count from 1."""

    code: ErrorCode
    message: str
    line: int | None = None
    column: int | None = None
    hint: str | None = None
    history: Annotated[
        tuple[Attempt, ...], Meta(description="Earlier attempts, where they led to this error.")
    ] = ()


class Timings(Struct, frozen=True, kw_only=True):
    """Seconds spent in each phase of a task's last attempt; zero where there was none.

    A circuit that its sandbox has kept from an earlier task is not parsed or transpiled again.
    """

    queue: Annotated[float, Meta(description="From submission until a sandbox took it.")] = 0.0
    parse: Annotated[float, Meta(description="Reading the OpenQASM.")] = 0.0
    transpile: Annotated[
        float, Meta(description="Setting up Aer, and bringing the circuit to its gates.")
    ] = 0.0
    simulate: Annotated[float, Meta(description="In Aer.")] = 0.0
    count: Annotated[float, Meta(description="Counting outcomes and writing them as JSON.")] = 0.0


class Expectation(Struct, frozen=True, kw_only=True):
    """An observable's expectation value."""

    value: float
    standard_error: Annotated[
        float,
        Meta(description="Of a mean of `shots` measurements of it: √((⟨O²⟩ - ⟨O⟩²) / shots)."),
    ]


class Blob(Struct, frozen=True, kw_only=True):
    """Names the object in `qjet-blobs` that holds a result too large for a message."""

    name: str
    size_bytes: int


class Task(Struct, frozen=True, kw_only=True):
    """A task as every reader sees it, and, once final, as it stands in the results bucket."""

    task_id: str
    status: Status
    message: Annotated[str, Meta(description="A sentence for people.")]
    result: Annotated[
        dict[str, int] | tuple[dict[str, int], ...] | None,
        Meta(
            description="Counts: bitstring to occurrences. Classical bit 0 is rightmost, registers "
            "are separated by a space with the last declared leftmost; values sum to `shots`. "
            "For a list of `parameters`, a list of counts in their order; null where nothing is "
            "measured, for `observables` alone.",
            examples=[{"00": 512, "11": 512}],
        ),
    ] = None
    error: TaskError | None = None
    shots: int | None = None
    seed: int | None = None
    method: Annotated[
        str | None, Meta(description="As submitted; as Aer resolved it once it has run.")
    ] = None
    tags: tuple[str, ...] = ()
    name: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: Annotated[int, Meta(description="How often it was started.")] = 0
    executor: str | None = None
    timings: Annotated[
        Timings | None, Meta(description="Null where its sandbox came to no end of it.")
    ] = None
    memory: Annotated[
        tuple[str | tuple[str, ...], ...] | UnsetType,
        Meta(description="Each shot's outcome, where asked for; of a sweep, a list for each."),
    ] = UNSET
    expectation_values: Annotated[
        tuple[Expectation | tuple[Expectation, ...], ...] | UnsetType,
        Meta(description="One for each of `observables`; of a sweep, a list for each point."),
    ] = UNSET
    blob: Blob | UnsetType = UNSET

    @property
    def is_final(self) -> bool:
        """Whether the state will never change again."""
        return self.status in FINAL_STATUSES


class LargeResult(Struct, frozen=True, kw_only=True):
    """What a blob holds: the members of a `Task` that made it too large, still as JSON text."""

    result: msgspec.Raw
    memory: msgspec.Raw | UnsetType = UNSET
    expectation_values: msgspec.Raw | UnsetType = UNSET


class StoredState(Struct, frozen=True):
    """The few members of a stored `Task` that a service looks at without reading its counts."""

    task_id: str
    status: Literal["completed", "error", "cancelled"]
    finished_at: datetime
    created_at: datetime | None = None
    error: TaskError | None = None
    blob: Blob | UnsetType = UNSET


def unreadable(task_id: str) -> Task:
    """Build what a task ends as whose stored state nobody can read."""
    error = TaskError(code="simulation_failed", message="The executor's result is not readable.")
    return Task(
        task_id=task_id, status="error", message=error.message, error=error, finished_at=utc_now()
    )
