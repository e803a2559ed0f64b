"""Which of Aer's methods could hold a circuit that does not fit with the one asked for.

Aer itself refuses, before it runs, what does not fit; this finds what to advise then. Sandbox only.
"""

import math
from typing import Final

from qiskit import QuantumCircuit
from qiskit.circuit import CONTROL_FLOW_OP_NAMES, CircuitInstruction
from qiskit_aer.backends.backend_utils import BASIS_GATES

from qjet_executor.estimate import needed_bytes
from qjet_executor.refusals import MIB

_ADVISABLE: Final = ("stabilizer", "statevector", "matrix_product_state")
"""Best first; the others are either larger or approximate."""

_NO_GATES: Final = frozenset({"measure", "reset", "barrier", "delay", "save_probabilities"})
_CLOSE_ENOUGH: Final = 1e-9


def fitting(circuit: QuantumCircuit, method: str, *, qubits: int, limit_mb: int) -> list[str]:
    """Return methods other than `method` that run the circuit's gates within `limit_mb` MiB.

    `qubits` says how many of the circuit's qubits matter. Whether matrix_product_state really fits
    depends on entanglement, which nobody knows beforehand.
    """
    return [
        other
        for other in _ADVISABLE
        if other != method
        and needed_bytes(other, qubits) <= limit_mb * MIB
        and runs(circuit, other)
    ]


def runs(circuit: QuantumCircuit, method: str) -> bool:
    """Whether `method` knows all gates of the circuit, also those inside control flow."""
    for instruction in circuit.data:
        if instruction.name in CONTROL_FLOW_OP_NAMES:
            if not all(runs(block, method) for block in instruction.operation.blocks):
                return False
        elif not (instruction.name in _NO_GATES or is_gate_of(method, instruction)):
            return False
    return True


def is_gate_of(method: str, instruction: CircuitInstruction) -> bool:
    """Whether `method` knows the gate, by its angles."""
    if instruction.name not in BASIS_GATES[method]:
        return False
    return method != "stabilizer" or all(_is_quarter_turn(p) for p in instruction.params)


def _is_quarter_turn(parameter: object) -> bool:
    """Whether an angle is a multiple of π/2, so that its gate is a Clifford gate."""
    if not isinstance(parameter, (int, float)):
        return True  # a Pauli string, not an angle
    turns = parameter / (math.pi / 2)
    return abs(turns - round(turns)) < _CLOSE_ENOUGH
