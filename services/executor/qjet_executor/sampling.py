"""Draws counts from the distribution that Aer computed, instead of letting Aer count shots.

Aer spends some 1.5 µs a shot on counting strings; one multinomial draw costs microseconds for any
number of shots. It is exact where every measurement is the last thing that happens to its qubit
and there is no noise. It does not follow Aer's own random numbers, so a task with a seed goes Aer's
way. Sandbox only.

Source: NumPy `Generator.multinomial`; Aer `save_probabilities` (qubit i of the list is bit i).
"""

from functools import cached_property
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Clbit, Gate, Qubit

from qjet_executor.methods import runs
from qjet_executor.refusals import MIB

_MOST_TABLEAU_QUBITS: Final = 12
"""Beyond, a tableau can need longer for its probabilities than for shots: measured, with 16 coins,
500 ms rather than 9."""

_ANY_SHOTS_QUBITS: Final = 16
_MANY_SHOTS: Final = 10_000
"""With more qubits, it is the state that takes the time; fewer shots than that save nothing."""

_BYTES_A_PROBABILITY: Final = 32
"""Aer's own, NumPy's, those that are possible and their sums, of 8 bytes each."""

_MOST_KEPT: Final = 8192
_MOST_PROBABILITIES_AT_ONCE: Final = 1 << 20
_SMALLEST_PROBABILITY: Final = 1e-14
_METHODS: Final = frozenset({"automatic", "statevector", "density_matrix", "stabilizer"})
_MOST_SPELLED_QUBITS: Final = 12
_ZERO: Final = ord("0")


class Labels:
    """Spells outcomes as Qiskit prints them: bit 0 rightmost, registers apart by a space."""

    def __init__(self, bits: list[int], clbits: int, registers: list[int]) -> None:
        """Take the classical bit of each measured qubit, how many bits there are in all, and the
        sizes of their registers, if they are in any.
        """  # noqa: D205
        self._bits = bits
        starts = list(accumulate(registers))[:-1]
        self._width = clbits + len(starts)
        self._columns = [
            self._width - 1 - bit - sum(start <= bit for start in starts) for bit in bits
        ]
        self._spaces = [self._width - 1 - start - number for number, start in enumerate(starts)]

    def of(self, outcomes: NDArray[np.int64]) -> list[str]:
        """Spell outcomes, whose bit i is what the i-th measured qubit gave."""
        if len(self._bits) > _MOST_SPELLED_QUBITS:
            return self._spelled(outcomes)
        return [self._all[outcome] for outcome in outcomes.tolist()]

    def _spelled(self, outcomes: NDArray[np.int64]) -> list[str]:
        letters = np.full((len(outcomes), self._width), _ZERO, dtype=np.uint8)
        letters[:, self._spaces] = ord(" ")
        for place, column in enumerate(self._columns):
            letters[:, column] += (outcomes >> place & 1).astype(np.uint8)
        text = letters.tobytes().decode("ascii")
        width = self._width
        return [text[start : start + width] for start in range(0, len(text), width)]

    @cached_property
    def _all(self) -> list[str]:
        return self._spelled(np.arange(1 << len(self._bits)))


class Distribution:
    """The outcomes a circuit can have, and how likely each is."""

    def __init__(self, labels: Labels, probabilities: NDArray[np.float64], method: str) -> None:
        """Take the probability of every outcome and the method by which Aer found them."""
        self.method = method
        self._labels = labels
        self._outcomes = np.flatnonzero(probabilities > _SMALLEST_PROBABILITY)
        likely = probabilities[self._outcomes]
        self._likely = likely / likely.sum()

    @property
    def is_small(self) -> bool:
        """Whether it is worth its memory to keep it for another task."""
        return len(self._outcomes) <= _MOST_KEPT

    def draw(self, shots: int, rng: np.random.Generator) -> dict[str, int]:
        """Return counts of `shots` independent shots."""
        if len(self._outcomes) > shots:
            drawn, counts = np.unique(self._shots(shots, rng), return_counts=True)
        else:
            counts = rng.multinomial(shots, self._likely)
            drawn = np.flatnonzero(counts)
            counts = counts[drawn]
        return dict(zip(self._spelled(drawn), counts.tolist(), strict=True))

    def draw_each(self, shots: int, rng: np.random.Generator) -> list[str]:
        """Return the outcome of each of `shots` independent shots."""
        drawn, places = np.unique(self._shots(shots, rng), return_inverse=True)
        spelled = self._spelled(drawn)
        return [spelled[place] for place in places.tolist()]

    def _shots(self, shots: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw shots one by one, as places in the list of outcomes."""
        ends = np.cumsum(self._likely)
        drawn = ends.searchsorted(rng.random(shots) * ends[-1], side="right")
        return np.minimum(np.asarray(drawn, dtype=np.int64), len(ends) - 1)

    def _spelled(self, places: NDArray[np.int64]) -> list[str]:
        return self._labels.of(self._outcomes[places])


class Sampling:
    """A circuit whose counts may be drawn: what to run on Aer once, and how to read it."""

    def __init__(self, circuit: QuantumCircuit, measured: dict[int, int]) -> None:
        """Take the circuit and, per measured qubit, the classical bit its outcome goes to."""
        self.original = circuit
        self.qubits = tuple(measured)
        registers = [register.size for register in circuit.cregs]
        self._labels = Labels(list(measured.values()), circuit.num_clbits, registers)
        self._measured = len(measured)

    @cached_property
    def circuit(self) -> QuantumCircuit:
        """The circuit without its measurements, which saves the probabilities of their outcomes."""
        circuit = _without_measurements(self.original)
        circuit.save_probabilities(qubits=self.qubits)
        return circuit

    def suits(self, shots: int, memory_mb: int) -> bool:
        """Whether drawing is quicker than counting, and its list fits beside the state."""
        is_worth_it = self._measured <= _ANY_SHOTS_QUBITS or shots >= _MANY_SHOTS
        return is_worth_it and _BYTES_A_PROBABILITY << self._measured <= memory_mb * MIB // 2

    @property
    def most_kept(self) -> int:
        """How many outcomes are spelled and kept at most."""
        return min(1 << self._measured, _MOST_KEPT)

    @property
    def at_once(self) -> int:
        """For how many points Aer may compute probabilities in one run, for want of memory."""
        return max(1, _MOST_PROBABILITIES_AT_ONCE >> self._measured)

    def distribution(self, saved: Any, method: str) -> Distribution:
        """Read the distribution from what Aer's `method` saved as the circuit's probabilities."""
        return Distribution(self._labels, np.asarray(saved, dtype=np.float64), method)


def sampling_of(circuit: QuantumCircuit, method: str) -> Sampling | None:
    """Return how to draw the circuit's counts, or None where only Aer itself may count them."""
    measured = _terminal_measurements(circuit) if method in _METHODS else None
    if not measured or _registers_overlap(circuit):
        return None
    is_tableau = method == "stabilizer" or (method == "automatic" and runs(circuit, "stabilizer"))
    if is_tableau and len(measured) > _MOST_TABLEAU_QUBITS:
        return None
    return Sampling(circuit, measured)


def _terminal_measurements(circuit: QuantumCircuit) -> dict[int, int] | None:
    """Return classical bit by measured qubit, or None if anything follows a measurement."""
    measured: dict[Qubit, Clbit] = {}
    for instruction in circuit.data:
        if instruction.name == "barrier":
            continue
        if not measured.keys().isdisjoint(instruction.qubits):
            return None
        if instruction.name == "measure":
            measured[instruction.qubits[0]] = instruction.clbits[0]
        elif not (instruction.is_standard_gate() or isinstance(instruction.operation, Gate)):
            return None
    if len(set(measured.values())) < len(measured):
        return None
    return {circuit.find_bit(q).index: circuit.find_bit(c).index for q, c in measured.items()}


def _registers_overlap(circuit: QuantumCircuit) -> bool:
    return bool(sum(register.size for register in circuit.cregs) > circuit.num_clbits)


def _without_measurements(circuit: QuantumCircuit) -> QuantumCircuit:
    bare = circuit.copy_empty_like()
    for instruction in circuit.data:
        if isinstance(instruction.operation, Gate):
            bare.append(instruction.operation, instruction.qubits, (), copy=False)
    return bare
