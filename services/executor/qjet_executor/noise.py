"""Makes Aer's noise model of what a submission asks for. Sandbox only.

Source: `qiskit_aer.noise.NoiseModel.from_dict`, which is deprecated, and does not take what
`to_dict(serializable=True)` gives.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Instruction
from qiskit.circuit.library import PauliGate, Reset, UnitaryGate, get_standard_gate_name_mapping
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Kraus
from qiskit_aer.backends.backend_utils import BASIS_GATES
from qiskit_aer.noise import (
    NoiseModel,
    QuantumError,
    ReadoutError,
    depolarizing_error,
    thermal_relaxation_error,
)

from qjet_executor.diagnose import CircuitError
from qjet_shared import noise as wanted_noise
from qjet_shared.noise import QuantumErrorEntry, ReadoutErrorEntry, Step, ThermalRelaxation

_OPERATIONS: Final = {*BASIS_GATES["automatic"], "measure", "reset", "delay"}
_LONGEST_REASON: Final = 200


def noise_model_of(wanted: wanted_noise.NoiseModel | None) -> NoiseModel | None:
    """Return Aer's noise model, or None for none.

    Raises:
        CircuitError: an error that is written out is none, e.g. of matrices that are not a channel.
    """
    if wanted is None or wanted == wanted_noise.NoiseModel():
        return None
    is_named = wanted.depolarizing or wanted.thermal_relaxation or wanted.readout
    model = NoiseModel(basis_gates=[*gates_of(1), *gates_of(2)]) if is_named else NoiseModel()
    _add_named(model, wanted)
    for number, entry in enumerate(wanted.errors):
        try:
            _add(model, entry)
        except (QiskitError, ValueError, TypeError, LookupError) as exc:
            reason = str(getattr(exc, "message", exc)).strip('"')[:_LONGEST_REASON]
            text = f"noise_model.errors[{number}]: {reason or type(exc).__name__}"
            raise CircuitError("invalid_option", text) from exc
    return model


@cache
def gates_of(qubits: int) -> tuple[str, ...]:
    """Return the names of all gates on so many qubits that some method of Aer knows."""
    known = BASIS_GATES["automatic"]
    gates = get_standard_gate_name_mapping().items()
    return tuple(sorted(n for n, gate in gates if gate.num_qubits == qubits and n in known))


def _add_named(model: NoiseModel, wanted: wanted_noise.NoiseModel) -> None:
    for qubits in (1, 2):
        if errors := _gate_errors(wanted, qubits):
            error = errors[0] if len(errors) == 1 else errors[0].compose(errors[1])
            model.add_all_qubit_quantum_error(error, list(gates_of(qubits)), warnings=False)
    relaxation = wanted.thermal_relaxation
    if relaxation and relaxation.measure_s:
        error = _relaxation(relaxation, relaxation.measure_s)
        model.add_all_qubit_quantum_error(error, "measure", warnings=False)
    if readout := wanted.readout:
        rows = [[1 - readout.p01, readout.p01], [readout.p10, 1 - readout.p10]]
        model.add_all_qubit_readout_error(ReadoutError(rows), warnings=False)


def _gate_errors(wanted: wanted_noise.NoiseModel, qubits: int) -> list[Any]:
    """Return what happens after each gate on so many qubits, in order."""
    errors = []
    if depolarizing := wanted.depolarizing:
        probability = depolarizing.one_qubit if qubits == 1 else depolarizing.two_qubit
        if probability:
            errors.append(depolarizing_error(probability, qubits))
    if relaxation := wanted.thermal_relaxation:
        is_one = qubits == 1
        time_s = relaxation.one_qubit_gate_s if is_one else relaxation.two_qubit_gate_s
        if time_s:
            error = _relaxation(relaxation, time_s)
            errors.append(error if is_one else error.expand(error))
    return errors


def _relaxation(relaxation: ThermalRelaxation, time_s: float) -> Any:
    return thermal_relaxation_error(
        relaxation.t1_s, relaxation.t2_s, time_s, relaxation.excited_population
    )


def _add(model: NoiseModel, entry: QuantumErrorEntry | ReadoutErrorEntry) -> None:
    if isinstance(entry, ReadoutErrorEntry):
        readout = ReadoutError(entry.probabilities)
        if entry.gate_qubits is None:
            model.add_all_qubit_readout_error(readout, warnings=False)
        for qubits in entry.gate_qubits or ():
            model.add_readout_error(readout, qubits, warnings=False)
        return
    if unknown := set(entry.operations) - _OPERATIONS:
        raise ValueError(f"there is no gate {min(unknown)!r} that noise could be on")
    circuits = [_circuit(steps) for steps in entry.instructions]
    error = QuantumError(list(zip(circuits, entry.probabilities, strict=True)))
    operations = list(entry.operations)
    if entry.gate_qubits is None:
        model.add_all_qubit_quantum_error(error, operations, warnings=False)
    for qubits in entry.gate_qubits or ():
        model.add_quantum_error(error, operations, qubits, warnings=False)


def _circuit(steps: Sequence[Step]) -> QuantumCircuit:
    circuit = QuantumCircuit(max(max(step.qubits) for step in steps) + 1)
    for step in steps:
        circuit.append(_operation(step), step.qubits)
    return circuit


def _operation(step: Step) -> Instruction:
    if step.name == "reset":
        return Reset()
    if step.name == "pauli":
        return _pauli(step)
    if step.name == "unitary":
        return UnitaryGate(_matrices(step)[0], label=step.label)
    if step.name == "kraus":
        return _kraus(step)
    gate = get_standard_gate_name_mapping().get(step.name)
    if gate is None or gate.num_clbits or gate.params or step.params:
        raise ValueError(f"{step.name!r} cannot be part of an error")
    return gate


def _pauli(step: Step) -> Instruction:
    letters = step.params[0] if len(step.params) == 1 else None
    if not isinstance(letters, str) or len(letters) != len(step.qubits):
        raise ValueError("pauli needs one string with a letter for each qubit as `params`")
    return PauliGate(letters)


def _kraus(step: Step) -> Instruction:
    matrices = _matrices(step)
    if not Kraus(matrices).is_cptp():
        raise ValueError("the Kraus matrices are no channel: they do not preserve the trace")
    return Instruction("kraus", len(step.qubits), 0, matrices)


def _matrices(step: Step) -> list[Any]:
    """Return the matrices in `params`, each as large as the step's qubits need."""
    size = 2 ** len(step.qubits)
    is_one = step.name == "unitary"
    right = [not isinstance(m, str) and {len(m), *map(len, m)} == {size} for m in step.params]
    if not right or not all(right) or (is_one and len(right) > 1):
        wanted = f"one {size} x {size} matrix" if is_one else f"{size} x {size} matrices"
        raise ValueError(f"{step.name} on these qubits needs {wanted} as `params`")
    return [_array(matrix) for matrix in step.params]


def _array(matrix: Any) -> np.ndarray[Any, np.dtype[np.complex128]]:
    """Return a matrix whose elements are numbers, or pairs of real and imaginary part."""
    rows = [[complex(*e) if isinstance(e, tuple) else complex(e) for e in row] for row in matrix]
    return np.array(rows, dtype=complex)
