"""Every message that crosses a process or network boundary, as frozen structs.

The HTTP gateway, the NATS endpoints, the streams and the results bucket all speak these types;
the OpenAPI document is generated from them.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from qjet_shared.noise import NoiseModel
from qjet_shared.options import MethodOptions, Precision

Status = Literal["pending", "running", "completed", "error", "cancelled"]
Method = Literal[
    "automatic",
    "statevector",
    "density_matrix",
    "stabilizer",
    "extended_stabilizer",
    "matrix_product_state",
]
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

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a message may raise that somebody else has put in its place."""

FINAL_STATUSES: Final = frozenset({"completed", "error", "cancelled"})
DEFAULT_SHOTS: Final = 1024
LARGEST_SEED: Final = 2**63 - 1
"""Aer takes a signed 64-bit seed and refuses more with a bare `TypeError`."""

Point = dict[Annotated[str, Meta(min_length=1, max_length=200)], float]
"""A number for each of a circuit's inputs, by name."""

PauliSum = Annotated[
    dict[
        Annotated[str, Meta(pattern="^[IXYZ]+$", max_length=1000)],
        Annotated[float, Meta(ge=-1e12, le=1e12)],
    ],
    Meta(min_length=1, max_length=1000),
]
"""Pauli strings, the rightmost letter for the first qubit, with their coefficients."""

BELL_QASM: Final = (
    'OPENQASM 3; include "stdgates.inc"; '
    "qubit[2] q; bit[2] c; h q[0]; cx q[0], q[1]; c = measure q;"
)


class Submission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a client hands in: a circuit and how to run it."""

    qc: Annotated[
        str,
        Meta(
            min_length=1,
            description="The circuit: OpenQASM 3, or OpenQASM 2 with its version line.",
            examples=[BELL_QASM],
        ),
    ]
    shots: Annotated[int, Meta(ge=1, description="How often to run and measure.")] = DEFAULT_SHOTS
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=LARGEST_SEED)] | None,
        Meta(description="Seed of Aer's random numbers: the same seed gives the same counts."),
    ] = None
    method: Annotated[Method, Meta(description="Aer's simulation method.")] = "automatic"
    memory: Annotated[bool, Meta(description="Also return each shot's outcome, in order.")] = False
    parameters: Annotated[
        Point | Annotated[tuple[Point, ...], Meta(min_length=1)] | None,
        Meta(
            description="A number for each `input float` or `input angle` of the circuit, by name; "
            "or a list of such objects, a sweep: `result` is then a list of counts, one for each "
            "in their order, and each sums to `shots`. With a seed, each is what it is alone.",
            examples=[{"theta": 0.5}, [{"theta": 0.0}, {"theta": 0.5}]],
        ),
    ] = None
    noise_model: Annotated[
        NoiseModel | None,
        Meta(
            description="Noise: depolarizing, thermal_relaxation and readout with their figures, "
            "and `errors` as Aer's `NoiseModel.to_dict(serializable=True)` writes them.",
            examples=[
                {"depolarizing": {"one_qubit": 0.001, "two_qubit": 0.01}},
                {"readout": {"p01": 0.02, "p10": 0.05}},
            ],
        ),
    ] = None
    observables: Annotated[
        PauliSum | Annotated[tuple[PauliSum, ...], Meta(min_length=1, max_length=100)] | None,
        Meta(
            description="Sums of Pauli strings, whose expectation values at the circuit's end are "
            "given as `expectation_values`. One letter for each qubit, the rightmost for the "
            "first, as Qiskit writes them. Measurements at the end are left out, and need not be.",
            examples=[{"ZZ": 1.0, "XI": 0.5}, [{"ZZ": 1.0}, {"XX": 1.0}]],
        ),
    ] = None
    precision: Annotated[
        Precision,
        Meta(description="Of the numbers in the state; single takes half the memory."),
    ] = "double"
    method_options: Annotated[
        MethodOptions | None,
        Meta(
            description="Options of the method, by Aer's names.",
            examples=[{"fusion_enable": False}],
        ),
    ] = None
    timeout_s: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Wall time, in seconds, after which the run is ended."),
    ] = None
    tags: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
        Meta(max_length=16, description="Labels of your own."),
    ] = ()
    name: Annotated[
        Annotated[str, Meta(max_length=200)] | None, Meta(description="A name of your own.")
    ] = None

    @property
    def points(self) -> int:
        """How often the circuit is run with `shots` shots: once, or for each point of a sweep."""
        is_one = self.parameters is None or isinstance(self.parameters, dict)
        return 1 if is_one else len(self.parameters or ())


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


class Accepted(Struct, frozen=True, kw_only=True):
    """The answer to a submission that is on disk."""

    task_id: str
    message: str = "Task submitted successfully."


class FieldProblem(Struct, frozen=True):
    """One field of the input and what is wrong with it."""

    field: str
    message: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error outside a task. Source: RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldProblem, ...] = ()


def unreadable(task_id: str) -> Task:
    """Build what a task ends as whose stored state nobody can read."""
    error = TaskError(code="simulation_failed", message="The executor's result is not readable.")
    return Task(
        task_id=task_id, status="error", message=error.message, error=error, finished_at=utc_now()
    )


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)
