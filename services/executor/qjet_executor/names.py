"""The names of a circuit's instructions: what is in it, and whether it measures. Sandbox only."""

from collections import Counter

from qiskit import QuantumCircuit
from qiskit.circuit import CONTROL_FLOW_OP_NAMES


def measures(circuit: QuantumCircuit) -> bool:
    """Whether a measurement stands anywhere, also inside if, while, for and switch."""
    return "measure" in names(circuit)


def names(circuit: QuantumCircuit) -> set[str]:
    """Collect the names of all instructions, also those inside control flow."""
    return set(count(circuit))


def count(circuit: QuantumCircuit) -> Counter[str]:
    """Count all instructions by name, also those inside control flow, as they are written.

    Qiskit counts without making an object of each instruction.
    """
    found = Counter(circuit.count_ops())
    if not found.keys().isdisjoint(CONTROL_FLOW_OP_NAMES):
        for instruction in circuit.data:
            for block in getattr(instruction.operation, "blocks", ()):
                found += count(block)
    return found
