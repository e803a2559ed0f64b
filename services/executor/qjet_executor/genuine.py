"""Makes a circuit out of nothing but Qiskit's own operations. Sandbox only.

Aer goes by names: a gate that a program defines as `kraus` or `initialize` would be taken for Aer's
own instruction of that name, with wrong counts or a crash. So what a program defines is replaced by
what it is defined as, whatever it is called. Classical bits outside registers get one each, for
Qiskit's counts cut off loose bits beside registers.

A line of gate definitions can double the next one, and Aer unrolls loops: both are counted on the
way, and end where a budget of operations does.
"""

import math
from typing import Any, Final, NamedTuple

from qiskit import QuantumCircuit
from qiskit.circuit import (
    Barrier,
    ClassicalRegister,
    ControlFlowOp,
    Delay,
    ForLoopOp,
    Measure,
    Reset,
)

from qjet_executor import refusals
from qjet_executor.diagnose import CircuitError

_OWN_CLASSES: Final = (Measure, Reset, Barrier, Delay)
_LIBRARY: Final = "qiskit.circuit.library."
_DEFINED_IN_QASM2: Final = "qiskit.qasm2.parse"


class _Step(NamedTuple):
    """One of Qiskit's own operations in a gate's body, and which of the gate's qubits it is on."""

    operation: Any
    qubits: tuple[int, ...]


def genuine(circuit: QuantumCircuit, most_operations: int) -> QuantumCircuit:
    """Return an equal circuit of Qiskit's own operations, its bits all in registers or none.

    Raises:
        CircuitError: a gate without a body, an angle that is no number, an unknown construct, or
            more than `most_operations` with gates taken apart and loops unrolled.
    """
    if not _all_genuine(circuit) or _has_loose_bits(circuit):
        circuit = _Builder(most_operations).rebuilt(circuit)
    if _unrolled(circuit) > most_operations:
        raise CircuitError.of(refusals.expands_too_far(most_operations))
    return circuit


class _Builder:
    """Rebuilds one circuit, and remembers how gates that a program defines are taken apart."""

    def __init__(self, most_operations: int) -> None:
        self._most = most_operations
        self._left = most_operations
        self._known: dict[Any, list[_Step]] = {}

    def rebuilt(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Copy bits, registers and variables, then every operation by what it is."""
        built = circuit.copy_empty_like()
        if _has_loose_bits(circuit):
            built = QuantumCircuit(circuit.qubits, circuit.clbits, *circuit.qregs)
            built.add_register(*_registers_in_bit_order(circuit))
            built.global_phase = circuit.global_phase  # which also holds inputs without a use
        for instruction in circuit.data:
            self._append(built, instruction.operation, instruction.qubits, instruction.clbits)
        return built

    def _append(self, built: QuantumCircuit, operation: Any, qubits: Any, clbits: Any) -> None:
        if isinstance(operation, ControlFlowOp):
            blocks = [self.rebuilt(block) for block in operation.blocks]
            built.append(operation.replace_blocks(blocks), qubits, clbits, copy=False)
        elif is_genuine(operation):
            _check_angles(operation)
            self._spend(1)
            built.append(operation, qubits, clbits, copy=False)
        else:
            steps = self._taken_apart(operation)
            self._spend(len(steps))
            for step in steps:
                built.append(step.operation, [qubits[i] for i in step.qubits], (), copy=False)

    def _spend(self, operations: int) -> None:
        self._left -= operations
        if self._left < 0:
            raise CircuitError.of(refusals.expands_too_far(self._most))

    def _taken_apart(self, operation: Any) -> list[_Step]:
        """Return what `operation` consists of, in Qiskit's own operations."""
        key = _identity(operation)
        if key not in self._known:
            steps = self._steps(operation)
            if key is None:
                return steps
            self._known[key] = steps
        return self._known[key]

    def _steps(self, operation: Any) -> list[_Step]:
        body = _body(operation)
        index = {qubit: i for i, qubit in enumerate(body.qubits)}
        steps: list[_Step] = []
        for inner in body.data:
            place = [index[qubit] for qubit in inner.qubits]
            if is_genuine(inner.operation):
                _check_angles(inner.operation)
                steps.append(_Step(inner.operation, tuple(place)))
                continue
            parts = self._taken_apart(inner.operation)
            if len(steps) + len(parts) > self._most:
                raise CircuitError.of(refusals.expands_too_far(self._most))
            steps += [_Step(part.operation, tuple(place[i] for i in part.qubits)) for part in parts]
        return steps


def _identity(operation: Any) -> Any:
    """Return what tells a gate of OpenQASM 2 from others, where a name has one meaning only.

    None for gates of OpenQASM 3: its modifiers make names of their own, which a program may have
    used for something else.
    """
    kind = type(operation)
    is_alone = kind.__module__ == _DEFINED_IN_QASM2
    return (kind, operation.name, tuple(operation.params)) if is_alone else None


def _body(operation: Any) -> QuantumCircuit:
    body = getattr(operation, "definition", None)
    if body is None or body.num_clbits:
        raise CircuitError(
            "qasm_unsupported", f"{operation.name[:80]!r} has no body that could be simulated."
        )
    return body


def _unrolled(circuit: QuantumCircuit) -> int:
    """Count the operations that Aer gets: a loop's as often as it goes round."""
    count = 0
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp):
            inside = 1 + sum(_unrolled(block) for block in operation.blocks)
            count += inside * (_rounds(operation) if isinstance(operation, ForLoopOp) else 1)
        else:
            count += 1
    return count


def _rounds(loop: ForLoopOp) -> int:
    """Return how often a loop goes round; `len` cannot tell beyond 2**63."""
    values = loop.params[0]
    if isinstance(values, range):
        return max(0, -((values.start - values.stop) // values.step))
    return len(tuple(values))


def _all_genuine(circuit: QuantumCircuit) -> bool:
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp):
            if not all(_all_genuine(block) for block in operation.blocks):
                return False
        elif not is_genuine(operation):
            return False
        else:
            _check_angles(operation)
    return True


def is_genuine(operation: Any) -> bool:
    """Whether an operation's class is one of Qiskit's, rather than named by a program."""
    kind = getattr(operation, "base_class", type(operation))
    return kind in _OWN_CLASSES or str(kind.__module__).startswith(_LIBRARY)


def _check_angles(operation: Any) -> None:
    for angle in operation.params:
        if isinstance(angle, float) and not math.isfinite(angle):
            raise CircuitError(
                "qasm_unsupported", f"An angle of {operation.name!r} is no finite number."
            )


def _has_loose_bits(circuit: QuantumCircuit) -> bool:
    """Whether some classical bits are in registers and others are not."""
    in_registers = {bit for register in circuit.cregs for bit in register}
    return bool(0 < len(in_registers) < circuit.num_clbits)


def _registers_in_bit_order(circuit: QuantumCircuit) -> list[ClassicalRegister]:
    """Return the registers, and one for each loose bit, by the bits they begin with.

    A register without bits stands where it was declared: before what was declared after it.
    """
    starts: dict[int, list[ClassicalRegister]] = {}
    for register in circuit.cregs:
        start = circuit.find_bit(register[0]).index if len(register) else max(starts, default=-1)
        starts.setdefault(start, []).append(register)
    in_registers = {bit for register in circuit.cregs for bit in register}
    for index, bit in enumerate(circuit.clbits):
        if bit not in in_registers:
            starts[index] = [ClassicalRegister(name=f"bit_{index}", bits=[bit])]
    return [register for index in sorted(starts) for register in starts[index]]
