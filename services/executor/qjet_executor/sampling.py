"""Draws counts from the distribution that Aer computed, instead of letting Aer count shots.

Aer spends some 1.5 µs a shot on counting strings; one multinomial draw costs microseconds for any
number of shots. It is exact where every measurement is the last thing that happens to its qubit
and there is no noise. It does not follow Aer's own random numbers, so a task with a seed, or one
that wants each shot's outcome, goes Aer's way. Sandbox only.

Source: NumPy `Generator.multinomial`; Aer `save_probabilities` (qubit i of the list is bit i).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Gate
from qiskit.result.postprocess import format_counts_memory

_MOST_MEASURED_QUBITS: Final = 12
_SMALLEST_PROBABILITY: Final = 1e-14
_METHODS: Final = frozenset({"automatic", "statevector", "density_matrix", "stabilizer"})


class Distribution:
    """The outcomes a circuit can have, and how likely each is."""

    def __init__(
        self, outcomes: list[str], probabilities: NDArray[np.float64], method: str
    ) -> None:
        """Take outcomes as Qiskit prints them, their probabilities, and the method Aer chose."""
        self.method = method
        self._outcomes = outcomes
        self._probabilities = probabilities / probabilities.sum()

    def draw(self, shots: int, rng: np.random.Generator) -> dict[str, int]:
        """Return counts of `shots` independent shots."""
        drawn = rng.multinomial(shots, self._probabilities)
        return {self._outcomes[i]: int(drawn[i]) for i in np.flatnonzero(drawn)}


class Sampling:
    """A circuit whose counts may be drawn: what to run on Aer once, and how to read it."""

    def __init__(self, circuit: QuantumCircuit, measured: dict[int, int]) -> None:
        """Take the circuit and, per measured qubit, the classical bit its outcome goes to."""
        self.circuit = _without_measurements(circuit)
        self.circuit.save_probabilities(qubits=list(measured))
        self._bits = list(measured.values())
        self._header = {
            "creg_sizes": [[register.name, register.size] for register in circuit.cregs],
            "memory_slots": circuit.num_clbits,
        }

    def distribution(self, result: Any) -> Distribution:
        """Read the distribution from Aer's result for `circuit`."""
        probabilities = np.asarray(result.data()["probabilities"], dtype=np.float64)
        possible = np.flatnonzero(probabilities > _SMALLEST_PROBABILITY)
        return Distribution(
            [self._outcome(int(index)) for index in possible],
            probabilities[possible],
            result.results[0].metadata.get("method", ""),
        )

    def _outcome(self, index: int) -> str:
        memory = sum((index >> i & 1) << bit for i, bit in enumerate(self._bits))
        return str(format_counts_memory(hex(memory), self._header))


def sampling_of(circuit: QuantumCircuit, method: str) -> Sampling | None:
    """Return how to draw the circuit's counts, or None where only Aer itself may count them."""
    measured = _terminal_measurements(circuit) if method in _METHODS else None
    if not measured or len(measured) > _MOST_MEASURED_QUBITS or _registers_overlap(circuit):
        return None
    return Sampling(circuit, measured)


def _terminal_measurements(circuit: QuantumCircuit) -> dict[int, int] | None:
    """Return classical bit by measured qubit, or None if anything follows a measurement."""
    measured: dict[int, int] = {}
    for instruction in circuit.data:
        operation = instruction.operation
        if operation.name == "barrier":
            continue
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        if not measured.keys().isdisjoint(qubits):
            return None
        if operation.name == "measure":
            bit = circuit.find_bit(instruction.clbits[0]).index
            if bit in measured.values():
                return None
            measured[qubits[0]] = bit
        elif not isinstance(operation, Gate):
            return None
    return measured


def _registers_overlap(circuit: QuantumCircuit) -> bool:
    return bool(sum(register.size for register in circuit.cregs) > circuit.num_clbits)


def _without_measurements(circuit: QuantumCircuit) -> QuantumCircuit:
    bare = circuit.copy_empty_like()
    for instruction in circuit.data:
        if isinstance(instruction.operation, Gate):
            bare.append(instruction)
    return bare
