"""Expectation values of sums of Pauli strings at the end of a circuit. Sandbox only.

Measurements at the circuit's end are taken off first. What Aer computes is exact for the state; in
a circuit with noise or with measurements on the way, it is the mean over the states of all shots,
or the mixed state, by method. The standard error is that of a mean of `shots` measurements of the
observable, √((⟨O²⟩ - ⟨O⟩²) / shots); what is exact has it too, for comparison with an experiment.

⟨O²⟩ is saved as an observable of its own: Aer's `save_expectation_value_variance` is the mean of
each shot's variance, which is less than that of all shots together.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from qiskit import QuantumCircuit
from qiskit.circuit import Gate
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.library import SaveExpectationValue

from qjet_executor.diagnose import CircuitError
from qjet_shared.messages.submission import PauliSum
from qjet_shared.messages.task import Expectation

_WITHOUT: Final = "extended_stabilizer"


class Estimation:
    """What to run for the expectation values of a circuit, and how to read them."""

    def __init__(
        self, circuit: QuantumCircuit, observables: PauliSum | Sequence[PauliSum], method: str
    ) -> None:
        """Take the circuit and the observables.

        Raises:
            CircuitError: a Pauli string is not as long as the circuit has qubits, or the method
                has no expectation values.
        """
        if method == _WITHOUT:
            text = f"observables: method {method} cannot give expectation values."
            raise CircuitError("invalid_option", text, hint="Leave `method` out.")
        listed = [observables] if isinstance(observables, dict) else observables
        self.circuit = circuit.remove_final_measurements(inplace=False)
        self.has_one_state = all(isinstance(i.operation, Gate) for i in self.circuit.data)
        self._count = len(listed)
        for number, observable in enumerate(listed):
            self._save(number, _operator(observable, circuit.num_qubits, f"observables[{number}]"))

    def read(self, saved: dict[str, Any], shots: int) -> list[Expectation]:
        """Return the values from what Aer saved."""
        found = []
        for number in range(self._count):
            value = float(saved[_label(number)])
            variance = max(0.0, float(saved[_label(number, "square")]) - value * value)
            found.append(Expectation(value=value, standard_error=math.sqrt(variance / shots)))
        return found

    def _save(self, number: int, operator: SparsePauliOp) -> None:
        square = operator.dot(operator).simplify()
        qubits = self.circuit.qubits
        for what, label in ((operator, _label(number)), (square, _label(number, "square"))):
            self.circuit.append(SaveExpectationValue(what, label=label), qubits)


def _label(number: int, of: str = "value") -> str:
    return f"{of} {number}"


def _operator(observable: PauliSum, qubits: int, where: str) -> SparsePauliOp:
    for letters in observable:
        if len(letters) != qubits:
            raise CircuitError(
                "invalid_option",
                f"{where}: {letters[:80]!r} has {len(letters)} letters, the circuit {qubits} "
                "qubits.",
                hint="One letter for each qubit, the rightmost for the first: I, X, Y or Z.",
            )
    return SparsePauliOp.from_list(list(observable.items())).simplify()
