"""Describes circuits to the last bit, so that two readers can be compared."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, ParameterExpression

from qjet_executor.extent import Limits
from qjet_executor.genuine import genuine

MOST_OPERATIONS = 100_000
MOST = Limits(qubits=100_000, bits=100_000, operations=MOST_OPERATIONS)


def description(circuit: QuantumCircuit) -> Any:
    """Describe what `circuit` runs as: registers, phase, and each operation with its bits.

    Two circuits with equal descriptions give Aer the same. Inside control flow, Qiskit itself
    orders bits and names loose ones at random, so there only what they are in the circuit counts.
    """
    found = genuine(circuit, MOST_OPERATIONS)
    qubits = {bit: index for index, bit in enumerate(found.qubits)}
    clbits = {bit: index for index, bit in enumerate(found.clbits)}
    registers = [(r.name, [qubits[bit] for bit in r]) for r in found.qregs]
    registers += [(r.name, [clbits[bit] for bit in r]) for r in found.cregs]
    return (
        (found.num_qubits, found.num_clbits, registers, found.global_phase.hex()),
        _operations(found, qubits, clbits),
    )


def _operations(circuit: QuantumCircuit, qubits: Mapping, clbits: Mapping) -> list[Any]:
    return [
        _operation(
            instruction.operation,
            [qubits[bit] for bit in instruction.qubits],
            [clbits[bit] for bit in instruction.clbits],
            clbits,
        )
        for instruction in circuit.data
    ]


def _operation(operation: Any, qubits: list[int], clbits: list[int], outer: Mapping) -> Any:
    if isinstance(operation, ControlFlowOp):
        bit_or_register, value = operation.condition
        target = outer.get(bit_or_register, getattr(bit_or_register, "name", None))
        blocks = [_block(block, qubits, clbits) for block in operation.blocks]
        return operation.name, sorted(qubits), sorted(clbits), (target, value, type(value)), blocks
    kind = getattr(operation, "base_class", type(operation))
    state = getattr(operation, "ctrl_state", None)
    parameters = [_parameter(value) for value in operation.params]
    return operation.name, kind, operation.label, state, qubits, clbits, parameters


def _block(block: QuantumCircuit, qubits: list[int], clbits: list[int]) -> Any:
    inner_qubits = dict(zip(block.qubits, qubits, strict=True))
    inner_clbits = dict(zip(block.clbits, clbits, strict=True))
    registers = sorted([inner_clbits[bit] for bit in register] for register in block.cregs)
    phase = block.global_phase.hex()
    return registers, phase, _operations(block, inner_qubits, inner_clbits)


def _parameter(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return float(value.numeric() if isinstance(value, ParameterExpression) else value).hex()
