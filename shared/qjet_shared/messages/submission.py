"""What a client hands in."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from qjet_shared.noise import NoiseModel
from qjet_shared.options import MethodOptions, Precision

Method = Literal[
    "automatic",
    "statevector",
    "density_matrix",
    "stabilizer",
    "extended_stabilizer",
    "matrix_product_state",
]
Fallback = Literal["matrix_product_state"]

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
    fallback: Annotated[
        Fallback | None,
        Meta(
            description="The method to take where the state of the one asked for, or of the one "
            "that `automatic` chooses, does not fit into the executor's memory. `method` of the "
            "finished task tells which it was. matrix_product_state needs little memory where "
            "there is little entanglement, and much time and memory where there is much."
        ),
    ] = None
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
