"""What a submission may ask for as noise: simple models by name, and Aer's own, written out.

Source: `NoiseModel.to_dict` of qiskit-aer, for `errors`.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

MOST_QUBITS: Final = 4
"""An error on more has matrices of a million elements."""

Probability = Annotated[float, Meta(ge=0, le=1)]
PositiveSeconds = Annotated[float, Meta(gt=0)]
Duration = Annotated[float, Meta(ge=0)]
Complex = float | Annotated[tuple[float, float], Meta(description="Real and imaginary part.")]
Matrix = Annotated[
    tuple[Annotated[tuple[Complex, ...], Meta(max_length=16)], ...],
    Meta(min_length=2, max_length=16),
]
Qubits = Annotated[
    tuple[Annotated[int, Meta(ge=0)], ...], Meta(min_length=1, max_length=MOST_QUBITS)
]
Places = Annotated[
    tuple[Annotated[int, Meta(ge=0, le=MOST_QUBITS - 1)], ...],
    Meta(min_length=1, max_length=MOST_QUBITS),
]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A JSON object of which every field is known."""


class Depolarizing(_Part, frozen=True):
    """After each gate, its qubits are depolarized with the probability for gates of that size."""

    one_qubit: Probability = 0.0
    two_qubit: Probability = 0.0


class Readout(_Part, frozen=True):
    """A measurement shows the other outcome."""

    p01: Annotated[Probability, Meta(description="How likely a qubit in state 0 is read as 1.")] = (
        0.0
    )
    p10: Annotated[Probability, Meta(description="How likely a qubit in state 1 is read as 0.")] = (
        0.0
    )


class ThermalRelaxation(_Part, frozen=True):
    """Qubits relax while gates and measurements last; times in seconds."""

    t1_s: Annotated[PositiveSeconds, Meta(description="Relaxation time constant.")]
    t2_s: Annotated[
        PositiveSeconds, Meta(description="Dephasing time constant; at most twice t1_s.")
    ]
    one_qubit_gate_s: Duration = 0.0
    two_qubit_gate_s: Duration = 0.0
    measure_s: Duration = 0.0
    excited_population: Annotated[
        Probability, Meta(description="Share of state 1 in equilibrium.")
    ] = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be in nature."""
        if self.t2_s > 2 * self.t1_s:
            raise ValueError(f"t2_s is at most 2 * t1_s, {2 * self.t1_s:g}")


class Step(_Part, frozen=True):
    """One instruction of an error: pauli, kraus, unitary, reset, or a gate without angles."""

    name: Name
    qubits: Annotated[Places, Meta(description="Counted among the qubits of the gate, from 0.")]
    params: Annotated[
        tuple[Annotated[str, Meta(max_length=4)] | Matrix, ...],
        Meta(max_length=256, description="A Pauli string, or matrices with [re, im] as elements."),
    ] = ()
    label: str | None = None


class QuantumErrorEntry(_Part, frozen=True, tag="qerror", tag_field="type"):
    """After each of `operations`, one of `instructions` happens, with its probability."""

    operations: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=64)]
    instructions: Annotated[
        tuple[Annotated[tuple[Step, ...], Meta(min_length=1, max_length=64)], ...],
        Meta(min_length=1, max_length=1024),
    ]
    probabilities: tuple[Probability, ...]
    gate_qubits: Annotated[
        tuple[Qubits, ...] | None,
        Meta(description="The qubits on which it happens; without, on all."),
    ] = None
    id: str | None = None

    def __post_init__(self) -> None:
        """Refuse probabilities without an instruction, and the other way round."""
        if len(self.probabilities) != len(self.instructions):
            raise ValueError("as many probabilities as instructions are needed")


class ReadoutErrorEntry(_Part, frozen=True, tag="roerror", tag_field="type"):
    """Row n of `probabilities`: how likely each outcome is read where n was measured."""

    probabilities: Annotated[tuple[tuple[Probability, ...], ...], Meta(min_length=2, max_length=16)]
    operations: tuple[Name, ...] = ("measure",)
    gate_qubits: tuple[Qubits, ...] | None = None


class NoiseModel(_Part, frozen=True):
    """Noise, simple models and Aer's own together.

    A named model is on every gate of one or two qubits, in the order depolarizing, then
    thermal_relaxation; gates of more qubits are taken apart first.
    """

    depolarizing: Depolarizing | None = None
    thermal_relaxation: ThermalRelaxation | None = None
    readout: Readout | None = None
    errors: Annotated[
        tuple[QuantumErrorEntry | ReadoutErrorEntry, ...],
        Meta(
            max_length=4096,
            description="What `NoiseModel.to_dict(serializable=True)` of qiskit-aer gives.",
        ),
    ] = ()
