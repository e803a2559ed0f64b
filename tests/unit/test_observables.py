"""Expectation values: those of the state, and of Aer called directly; their errors."""

import json
import math

import msgspec
import pytest
from qiskit import qasm3
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer import AerSimulator
from qiskit_aer.library import SaveExpectationValue
from qiskit_aer.noise import NoiseModel as AersModel
from qiskit_aer.noise import depolarizing_error

from qjet_executor.outcomes import large_part
from qjet_executor.protocol import Job
from qjet_executor.simulate import Simulators
from qjet_shared.messages.task import LargeResult
from qjet_shared.noise import Depolarizing, NoiseModel

pytestmark = pytest.mark.unit

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
ANSATZ = (
    HEAD + "qubit[3] q; ry(0.4) q[0]; cx q[0], q[1]; rz(1.1) q[1]; ry(2.0) q[2]; cx q[1], q[2];"
    "h q[1]; ch q[0], q[2];"
)
MEASURED = ANSATZ.replace("qubit[3] q;", "qubit[3] q; bit[3] c;") + "c = measure q;"
INPUT = HEAD + "input float a; qubit[2] q; ry(a) q[0]; cx q[0], q[1];"
COIN = HEAD + "qubit q; bit[1] c; h q; c[0] = measure q; x q;"
BELL = HEAD + "qubit[2] q; h q[0]; cx q[0], q[1];"
SUMS = ({"ZZI": 1.0, "XIX": 0.5, "IYY": -2.0}, {"IIZ": 1.0}, {"III": 3.0})

simulators = Simulators(max_memory_mb=1000, max_threads=1)


def run(source, observables, *, shots=1000, **more):
    return simulators.run(Job(qc=source, shots=shots, observables=observables, **more))


def values(source, observables, **options):
    outcome = run(source, observables, **options)
    assert outcome.error is None, outcome.error
    return json.loads(outcome.expectation_values)


def of_the_state(source, observable, shots=1000):
    """Work out value and standard error from the state vector, with nothing of qjet or Aer."""
    state = Statevector(qasm3.loads(source).remove_final_measurements(inplace=False))
    operator = SparsePauliOp.from_list(list(observable.items()))
    value = state.expectation_value(operator).real
    square = state.expectation_value(operator.dot(operator)).real
    return {
        "value": pytest.approx(value, abs=1e-9),
        "standard_error": pytest.approx(math.sqrt(max(0, square - value**2) / shots), abs=1e-6),
    }


@pytest.mark.parametrize(
    "method", ["automatic", "statevector", "density_matrix", "matrix_product_state"]
)
@pytest.mark.parametrize("source", [ANSATZ, MEASURED], ids=["bare", "measured"])
def test_values_and_errors_are_those_of_the_state(source, method):
    """Whether it is measured at its end or not; the rightmost letter is the first qubit."""
    assert values(source, SUMS, method=method) == [of_the_state(source, each) for each in SUMS]


def test_the_rightmost_letter_is_the_first_qubit():
    """As Qiskit writes it."""
    source = HEAD + "qubit[2] q; x q[0];"
    found = values(source, ({"IZ": 1.0}, {"ZI": 1.0}))
    assert [each["value"] for each in found] == [-1, 1]


def test_one_observable_gives_a_list_of_one():
    """So that whoever reads it need not tell them apart."""
    assert values(ANSATZ, SUMS[0]) == [of_the_state(ANSATZ, SUMS[0])]


def test_a_measured_circuit_is_counted_as_without_observables():
    """With a seed, bit for bit; the values come on top."""
    plain = simulators.run(Job(qc=MEASURED, shots=1000, seed=7, method="statevector", memory=False))
    both = run(MEASURED, SUMS, seed=7, method="statevector")
    assert both.counts == plain.counts
    assert both.expectation_values


def test_an_unmeasured_circuit_has_no_counts():
    """There is nothing to count; without observables it is still refused."""
    assert run(ANSATZ, SUMS).counts == b""
    assert run(ANSATZ, None).error.code == "no_measurements"


@pytest.mark.parametrize("seed", [None, 7])
def test_a_sweep_gives_values_for_each_point(seed):
    """In their order."""
    points = ({"a": 0.0}, {"a": 1.0}, {"a": 2.0})
    found = values(INPUT, ({"IZ": 1.0}, {"XX": 1.0}), parameters=points, seed=seed)
    assert [[each["value"] for each in point] for point in found] == [
        pytest.approx([math.cos(point["a"]), math.sin(point["a"])]) for point in points
    ]


def test_a_hundred_qubit_clifford_circuit_has_values_too():
    """Without any state vector."""
    source = HEAD + "qubit[100] q; h q[0];" + "".join(f"cx q[{i}], q[{i + 1}];" for i in range(99))
    outcome = run(source, {"Z" * 100: 1.0, "X" * 100: 1.0})
    assert outcome.method == "stabilizer"
    assert json.loads(outcome.expectation_values)[0]["value"] == 2


def test_measurements_on_the_way_are_part_of_the_error():
    """A measured coin has one state in each shot, but the shots differ."""
    (found,) = values(COIN, {"Z": 1.0}, shots=10_000, seed=7)
    assert abs(found["value"]) < 0.05
    assert found["standard_error"] == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize("method", ["automatic", "statevector", "stabilizer", "density_matrix"])
def test_noisy_values_are_aers_own(method):
    """With a seed, those of Aer called directly with the same model."""
    wanted = NoiseModel(depolarizing=Depolarizing(one_qubit=0.1, two_qubit=0.2))
    (found,) = values(BELL, {"ZZ": 1.0}, noise_model=wanted, seed=7, method=method)
    model = AersModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, 1), ["h"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.2, 2), ["cx"])
    circuit = qasm3.loads(BELL)
    operator = SparsePauliOp("ZZ")
    circuit.append(SaveExpectationValue(operator, label="v"), circuit.qubits)
    circuit.append(SaveExpectationValue(operator @ operator, label="s"), circuit.qubits)
    aer = AerSimulator(method=method, noise_model=model)
    value = aer.run(circuit, shots=1000, seed_simulator=7).result().data()["v"]
    assert found["value"] == value
    assert abs(value - 0.8) < 0.1


@pytest.mark.parametrize(
    ("observables", "named"),
    [
        ({"Z": 1.0}, "observables[0]: 'Z'"),
        (({"ZZI": 1.0}, {"ZZI": 1.0, "ZZZZ": 1.0}), "observables[1]: 'ZZZZ'"),
    ],
)
def test_a_pauli_string_of_the_wrong_length_is_named(observables, named):
    """With both lengths."""
    error = run(ANSATZ, observables).error
    assert error.code == "invalid_option"
    assert error.message.startswith(named)
    assert "3 qubits" in error.message


def test_a_method_without_expectation_values_is_refused():
    """Rather than answered approximately."""
    error = run(ANSATZ, SUMS, method="extended_stabilizer").error
    assert (error.code, "extended_stabilizer" in error.message) == ("invalid_option", True)


def test_a_state_too_large_is_refused_with_figures():
    """As for counts."""
    assert run(HEAD + "qubit[40] q; ry(0.3) q;", {"Z" * 40: 1.0}).error.code == "too_many_qubits"


def test_values_too_large_for_a_message_go_to_the_blob_as_they_are():
    """Beside counts, or where there are none."""
    found = msgspec.json.decode(large_part(run(ANSATZ, SUMS)), type=LargeResult)
    assert bytes(found.result) == b"null"
    assert len(msgspec.json.decode(found.expectation_values)) == 3
