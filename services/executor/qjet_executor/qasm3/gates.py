"""What a gate's name stands for: a standard gate, or what a program defines.

A definition is applied by what it consists of, down to standard gates, as `genuine` would rewrite
it. With modifiers it is what the reference importer makes of it: a gate whose definition is a
circuit of gates.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from qiskit import QuantumCircuit
from qiskit._accelerate.circuit import StandardGate
from qiskit.circuit import (
    CircuitInstruction,
    Gate,
    Operation,
    Parameter,
    ParameterExpression,
    Qubit,
)

from qjet_executor.genuine import is_genuine
from qjet_executor.qasm3.expressions import Value, finite
from qjet_executor.qasm3.tokens import NotFast

Arguments: TypeAlias = tuple[Value, ...]
Modifier: TypeAlias = Callable[[Any], Any]

_KINDS: Final = {kind.gate_class: kind for kind in StandardGate.all_gates()}


class Step(NamedTuple):
    """One operation of a gate's expansion; `positions` are indices into the gate's qubits."""

    operation: StandardGate | Operation
    arguments: Arguments
    positions: tuple[int, ...]

    def on(self, qubits: Sequence[Qubit]) -> CircuitInstruction:
        """Return the instruction for a gate on these qubits."""
        own = [qubits[position] for position in self.positions]
        if isinstance(self.operation, StandardGate):
            return CircuitInstruction.from_standard(self.operation, own, self.arguments)
        return CircuitInstruction(self.operation, own)


class GateLike(Protocol):
    """What can be applied to qubits.

    `size` is the number of steps it expands to. The steps' arguments are values, or expressions of
    `parameters`.
    """

    @property
    def num_parameters(self) -> int:
        """How many arguments it takes."""

    @property
    def num_qubits(self) -> int:
        """How many qubits it acts on."""

    @property
    def size(self) -> int:
        """How many steps it expands to."""

    @property
    def is_genuine(self) -> bool:
        """Whether all of these are Qiskit's own operations."""

    def steps(self, arguments: Arguments) -> Iterable[Step]:
        """Expand the gate, with these arguments."""

    def operation(self, arguments: Arguments) -> Any:
        """Return the gate, with these arguments, as one Qiskit operation."""


@dataclass(frozen=True)
class Standard:
    """A gate that Qiskit has; with `fixed` arguments it takes none."""

    kind: StandardGate
    num_parameters: int
    num_qubits: int
    fixed: Arguments = ()
    size: int = 1
    is_genuine: bool = True

    def steps(self, arguments: Arguments) -> Iterable[Step]:
        """Expand to itself."""
        return (Step(self.kind, self.fixed or arguments, tuple(range(self.num_qubits))),)

    def operation(self, arguments: Arguments) -> Any:
        """Return Qiskit's gate."""
        return self.kind.gate_class(*(self.fixed or arguments))


@dataclass(frozen=True)
class Fixed:
    """An operation as it is."""

    made: Any
    num_qubits: int
    size: int = 1
    num_parameters: int = 0

    @property
    def is_genuine(self) -> bool:
        """Whether it is one of Qiskit's own."""
        return is_genuine(self.made)

    def steps(self, arguments: Arguments) -> Iterable[Step]:
        """Expand to itself."""
        return (Step(self.made, arguments, tuple(range(self.num_qubits))),)

    def operation(self, arguments: Arguments) -> Any:  # noqa: ARG002
        """Return it."""
        return self.made


class Call(NamedTuple):
    """A gate applied inside a definition."""

    gate: GateLike
    arguments: Arguments
    positions: tuple[int, ...]

    def steps(self) -> Iterator[Step]:
        """Expand the gate at its place in the definition."""
        for step in self.gate.steps(self.arguments):
            yield step._replace(positions=tuple(self.positions[p] for p in step.positions))


@dataclass
class Definition:
    """A gate that the program defines. Its global phase matters only where it is controlled."""

    name: str
    parameters: tuple[Parameter, ...]
    num_qubits: int
    calls: list[Call] = field(default_factory=list)
    phases: list[Value] = field(default_factory=list)

    @property
    def num_parameters(self) -> int:
        """How many arguments it takes."""
        return len(self.parameters)

    @cached_property
    def size(self) -> int:
        """How many steps it expands to; quick, also where definitions double each other."""
        return sum(call.gate.size for call in self.calls)

    @cached_property
    def is_genuine(self) -> bool:
        """Whether it consists of Qiskit's own operations."""
        return all(call.gate.is_genuine for call in self.calls)

    def steps(self, arguments: Arguments) -> Iterable[Step]:
        """Expand down to what is no definition."""
        if not self.parameters:
            return self._template
        return [
            step._replace(arguments=tuple(self._bound(v, arguments) for v in step.arguments))
            for step in self._template
        ]

    def operation(self, arguments: Arguments) -> Any:
        """Return the gate that the reference importer makes, with its definition."""
        gate = Gate(self.name, self.num_qubits, list(arguments))
        gate.definition = self._circuit.assign_parameters(
            dict(zip(self.parameters, arguments, strict=True))
        )
        return gate

    @cached_property
    def _template(self) -> list[Step]:
        return [step for call in self.calls for step in call.steps()]

    @cached_property
    def _circuit(self) -> QuantumCircuit:
        circuit = QuantumCircuit([Qubit() for _ in range(self.num_qubits)])
        for call in self.calls:
            circuit.append(call.gate.operation(call.arguments), call.positions)
        for phase in self.phases:
            add_phase(circuit, phase)
        for parameter in set(self.parameters) - set(circuit.parameters):
            circuit.global_phase += parameter - parameter
        return circuit

    def _bound(self, value: Value, arguments: Arguments) -> Value:
        """Put arguments in the place of parameters.

        One parameter after the other and by Qiskit's own arithmetic, as the importer does:
        evaluated otherwise, angles would differ in their last digit.
        """
        if not isinstance(value, ParameterExpression):
            return value
        for parameter, argument in zip(self.parameters, arguments, strict=True):
            if value is parameter:
                return argument
            if parameter in value.parameters:
                value = value.assign(parameter, argument)
        return value if value.parameters else finite(value.numeric())


def add_phase(circuit: QuantumCircuit, phase: Value) -> None:
    """Apply `gphase(phase)`."""
    circuit.global_phase += QuantumCircuit(global_phase=phase).global_phase


def modified(gate: GateLike, arguments: Arguments, modifiers: Sequence[Modifier]) -> Call:
    """Apply modifiers, the last one first, and return the gate and arguments they lead to.

    Raises:
        NotFast: an angle is no finite number, or the result still depends on parameters and is no
            standard gate.
    """
    made = gate.operation(arguments)
    for modifier in reversed(modifiers):
        made = modifier(made)
    positions = tuple(range(made.num_qubits))
    if is_genuine(made):
        values = tuple(finite(value) for value in made.params)
    if CircuitInstruction(made, [Qubit() for _ in positions]).is_standard_gate():
        standard = Standard(_KINDS[made.base_class], len(values), made.num_qubits)
        return Call(standard, values, positions)
    if any(isinstance(value, ParameterExpression) for value in arguments):
        raise NotFast
    return Call(Fixed(made, made.num_qubits, gate.size), (), positions)


def _standard(kind: StandardGate) -> Standard:
    return Standard(kind, kind.num_params, kind.num_qubits)


STDGATES: Final[Mapping[str, GateLike]] = {
    "p": _standard(StandardGate.Phase),
    "x": _standard(StandardGate.X),
    "y": _standard(StandardGate.Y),
    "z": _standard(StandardGate.Z),
    "h": _standard(StandardGate.H),
    "s": _standard(StandardGate.S),
    "sdg": _standard(StandardGate.Sdg),
    "t": _standard(StandardGate.T),
    "tdg": _standard(StandardGate.Tdg),
    "sx": _standard(StandardGate.SX),
    "rx": _standard(StandardGate.RX),
    "ry": _standard(StandardGate.RY),
    "rz": _standard(StandardGate.RZ),
    "cx": _standard(StandardGate.CX),
    "cy": _standard(StandardGate.CY),
    "cz": _standard(StandardGate.CZ),
    "cp": _standard(StandardGate.CPhase),
    "crx": _standard(StandardGate.CRX),
    "cry": _standard(StandardGate.CRY),
    "crz": _standard(StandardGate.CRZ),
    "ch": _standard(StandardGate.CH),
    "swap": _standard(StandardGate.Swap),
    "ccx": _standard(StandardGate.CCX),
    "cswap": _standard(StandardGate.CSwap),
    "cu": _standard(StandardGate.CU),
    "CX": _standard(StandardGate.CX),
    "phase": _standard(StandardGate.Phase),
    "cphase": _standard(StandardGate.CPhase),
    "id": Standard(StandardGate.U, 0, 1, fixed=(0, 0, 0)),
    "u1": _standard(StandardGate.U1),
    "u2": _standard(StandardGate.U2),
    "u3": _standard(StandardGate.U3),
}
"""What `include "stdgates.inc"` defines for the reference importer; its `id` is no `IGate`."""

BUILTIN: Final[Mapping[str, GateLike]] = {"U": _standard(StandardGate.U)}
"""What is defined without any include."""
