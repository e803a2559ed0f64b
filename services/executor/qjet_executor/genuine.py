"""Makes a circuit out of nothing but Qiskit's own operations. Sandbox only.

Aer goes by names: a gate that a program defines as `kraus` or `initialize` would be taken for Aer's
own instruction of that name, with wrong counts or a crash. So what a program defines is replaced by
what it is defined as, whatever it is called. Classical bits outside registers get one each, for
Qiskit's counts cut off loose bits beside registers.
"""

import math
from typing import Any, Final

from qiskit import QuantumCircuit
from qiskit.circuit import (
    Barrier,
    ClassicalRegister,
    ControlFlowOp,
    Delay,
    Measure,
    Reset,
)

from qjet_executor.diagnose import CircuitError

_OWN_CLASSES: Final = (Measure, Reset, Barrier, Delay)
_LIBRARY: Final = "qiskit.circuit.library."


def genuine(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return an equal circuit of Qiskit's own operations, its bits all in registers or none.

    Raises:
        CircuitError: a gate without a body, an angle that is no number, an unknown construct.
    """
    if _all_genuine(circuit) and not _has_loose_bits(circuit):
        return circuit
    return _rebuilt(circuit)


def _rebuilt(circuit: QuantumCircuit) -> QuantumCircuit:
    """Copy bits, registers and variables, then every operation by what it is."""
    built = circuit.copy_empty_like()
    if _has_loose_bits(circuit):
        built = QuantumCircuit(circuit.qubits, circuit.clbits, *circuit.qregs)
        built.add_register(*_registers_in_bit_order(circuit))
    for instruction in circuit.data:
        _append(built, instruction.operation, instruction.qubits, instruction.clbits)
    return built


def _append(built: QuantumCircuit, operation: Any, qubits: Any, clbits: Any) -> None:
    if isinstance(operation, ControlFlowOp):
        blocks = [_rebuilt(block) for block in operation.blocks]
        built.append(operation.replace_blocks(blocks), qubits, clbits, copy=False)
    elif _is_genuine(operation):
        _check_angles(operation)
        built.append(operation, qubits, clbits, copy=False)
    else:
        body = _body(operation)
        place = dict(zip(body.qubits, qubits, strict=True))
        for inner in body.data:
            _append(built, inner.operation, [place[qubit] for qubit in inner.qubits], ())


def _body(operation: Any) -> QuantumCircuit:
    body = getattr(operation, "definition", None)
    if body is None or body.num_clbits:
        raise CircuitError(
            "qasm_unsupported", f"{operation.name[:80]!r} has no body that could be simulated."
        )
    return body


def _all_genuine(circuit: QuantumCircuit) -> bool:
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp):
            if not all(_all_genuine(block) for block in operation.blocks):
                return False
        elif not _is_genuine(operation):
            return False
        else:
            _check_angles(operation)
    return True


def _is_genuine(operation: Any) -> bool:
    """Whether the operation's class is one of Qiskit's, rather than named by a program."""
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
    """Return the registers, and one for each loose bit, by the bits they begin with."""
    registers = {circuit.find_bit(register[0]).index: register for register in circuit.cregs}
    in_registers = {bit for register in circuit.cregs for bit in register}
    for index, bit in enumerate(circuit.clbits):
        if bit not in in_registers:
            registers[index] = ClassicalRegister(name=f"bit_{index}", bits=[bit])
    return [registers[index] for index in sorted(registers)]
