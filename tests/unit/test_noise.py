"""Noise: the counts of Aer with the same noise model, bit for bit, and errors that name it."""

import json

import msgspec
import pytest
from qiskit import qasm3, transpile
from qiskit.quantum_info import Operator
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    NoiseModel,
    ReadoutError,
    amplitude_damping_error,
    coherent_unitary_error,
    depolarizing_error,
    pauli_error,
    reset_error,
    thermal_relaxation_error,
)

from qjet_executor.noise import gates_of
from qjet_executor.protocol import Job
from qjet_executor.simulate import Simulators
from qjet_shared import noise
from tests.support.spread import UNLIKELY, p_value

pytestmark = [
    pytest.mark.unit,
    pytest.mark.filterwarnings("ignore:from_dict has been deprecated:DeprecationWarning"),
]

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
BELL = HEAD + "qubit[2] q; bit[2] c; h q[0]; cx q[0], q[1]; c = measure q;"
MIXED = (
    HEAD + "qubit[3] q; bit[3] c; h q; t q[0]; cx q[0], q[1]; swap q[1], q[2]; rx(0.4) q[2];"
    "ccx q[0], q[1], q[2]; x q[0]; c = measure q;"
)
FEEDBACK = (
    HEAD + "qubit[2] q; bit[2] c; h q[0]; c[0] = measure q[0]; if (c[0]) { x q[1]; } h q[0];"
    "c[1] = measure q[1];"
)
ROTATION = HEAD + "input float a; qubit q; bit[1] c; rx(a) q; c = measure q;"

simulators = Simulators(max_memory_mb=1000, max_threads=1)


def everything() -> NoiseModel:
    """Return a model with every kind of error that Aer writes out."""
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.05, 1), ["h", "t"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), ["cx"])
    model.add_quantum_error(thermal_relaxation_error(50e-6, 70e-6, 5e-6), ["x"], [0])
    model.add_quantum_error(amplitude_damping_error(0.2), ["rz", "sx"], [1])
    model.add_quantum_error(amplitude_damping_error(0.3), ["rx"], [2])
    turned = Operator([[0.8, -0.6], [0.6, 0.8]])
    model.add_quantum_error(coherent_unitary_error(turned), ["h"], [2], warnings=False)
    model.add_all_qubit_quantum_error(pauli_error([("XZ", 0.1), ("II", 0.9)]), ["swap"])
    model.add_all_qubit_quantum_error(reset_error(0.1, 0.05), ["measure"])
    model.add_all_qubit_readout_error(ReadoutError([[0.9, 0.1], [0.2, 0.8]]))
    model.add_readout_error(ReadoutError([[1, 0], [0.5, 0.5]]), [1], warnings=False)
    return model


def named_by_hand() -> NoiseModel:
    """Return in Aer's words what `NAMED` asks for."""
    model = NoiseModel(basis_gates=[*gates_of(1), *gates_of(2)])
    one = depolarizing_error(0.01, 1).compose(thermal_relaxation_error(5e-5, 7e-5, 1e-6, 0.1))
    relaxed = thermal_relaxation_error(5e-5, 7e-5, 2e-6, 0.1)
    two = depolarizing_error(0.03, 2).compose(relaxed.expand(relaxed))
    model.add_all_qubit_quantum_error(one, list(gates_of(1)))
    model.add_all_qubit_quantum_error(two, list(gates_of(2)))
    model.add_all_qubit_quantum_error(thermal_relaxation_error(5e-5, 7e-5, 4e-6, 0.1), "measure")
    model.add_all_qubit_readout_error(ReadoutError([[0.98, 0.02], [0.05, 0.95]]))
    return model


NAMED = {
    "depolarizing": {"one_qubit": 0.01, "two_qubit": 0.03},
    "thermal_relaxation": {
        "t1_s": 5e-5,
        "t2_s": 7e-5,
        "one_qubit_gate_s": 1e-6,
        "two_qubit_gate_s": 2e-6,
        "measure_s": 4e-6,
        "excited_population": 0.1,
    },
    "readout": {"p01": 0.02, "p10": 0.05},
}


def run(source, wanted, *, shots=1000, seed=7, **more):
    model = msgspec.json.decode(json.dumps(wanted), type=noise.NoiseModel)
    return simulators.run(Job(qc=source, shots=shots, seed=seed, noise_model=model, **more))


def counts(source, wanted, **options):
    outcome = run(source, wanted, **options)
    assert outcome.error is None, outcome.error
    return json.loads(outcome.counts)


def error_of(wanted, **options):
    error = run(BELL, wanted, **options).error
    assert error is not None
    assert error.code == "invalid_option"
    return error.message


def aers_counts(source, model, *, shots=1000, seed=7, method="automatic", point=None):
    aer = AerSimulator(method=method, noise_model=model)
    circuit = transpile(qasm3.loads(source), aer, optimization_level=0)
    if point:
        circuit = circuit.assign_parameters(point)
    return aer.run(circuit, shots=shots, seed_simulator=seed).result().get_counts()


@pytest.mark.parametrize(
    "method", ["automatic", "statevector", "density_matrix", "matrix_product_state"]
)
@pytest.mark.parametrize("source", [BELL, MIXED, FEEDBACK], ids=["bell", "mixed", "feedback"])
def test_aers_own_model_gives_aers_counts_bit_for_bit(source, method):
    """Sent as `to_dict(serializable=True)` writes it, with matrices of complex numbers."""
    model = everything()
    found = counts(source, model.to_dict(serializable=True), method=method)
    assert found == aers_counts(source, model, method=method)
    assert found != aers_counts(source, None, method=method)


@pytest.mark.parametrize("source", [BELL, MIXED, FEEDBACK], ids=["bell", "mixed", "feedback"])
def test_named_models_together_give_the_counts_of_the_same_model_in_aers_words(source):
    """Depolarizing first, then relaxation, on every gate of one and two qubits."""
    assert counts(source, NAMED) == aers_counts(source, named_by_hand())


def test_readout_errors_are_as_likely_as_asked_for():
    """`p01` is 1 read for 0, `p10` is 0 read for 1."""
    idle = HEAD + "qubit[2] q; bit[2] c; x q[1]; c = measure q;"
    found = counts(idle, {"readout": {"p01": 0.1, "p10": 0.3}}, seed=None, shots=20_000)
    expected = {"10": 0.9 * 0.7, "11": 0.1 * 0.7, "00": 0.9 * 0.3, "01": 0.1 * 0.3}
    assert found.keys() == expected.keys()
    assert p_value(found, expected) > UNLIKELY


def test_relaxation_is_as_strong_as_its_times_say():
    """After one T1, an excited qubit is still excited with probability 1/e."""
    source = HEAD + "qubit q; bit[1] c; x q; c = measure q;"
    relaxation = {"t1_s": 1e-4, "t2_s": 1e-4, "one_qubit_gate_s": 1e-4}
    found = counts(source, {"thermal_relaxation": relaxation}, seed=None, shots=20_000)
    assert abs(found["1"] / 20_000 - 0.36788) < 0.02


def test_noise_on_large_gates_is_that_of_their_parts():
    """A Toffoli gate is taken apart into gates of one and two qubits, which are noisy."""
    source = HEAD + "qubit[3] q; bit[3] c; x q[0]; x q[1]; ccx q[0], q[1], q[2]; c = measure q;"
    assert set(counts(source, {"depolarizing": {"two_qubit": 0.2}})) != {"111"}


def test_clifford_noise_stays_on_the_stabilizer_method():
    """A depolarized Clifford circuit of 60 qubits needs no state vector."""
    source = (
        HEAD
        + "qubit[60] q; bit[60] c; h q[0];"
        + "".join(f"cx q[{i}], q[{i + 1}];" for i in range(59))
        + "c = measure q;"
    )
    outcome = run(source, {"depolarizing": {"two_qubit": 0.01}})
    assert (outcome.error, outcome.method) == (None, "stabilizer")


@pytest.mark.parametrize("method", ["automatic", "stabilizer", "extended_stabilizer"])
def test_clifford_noise_gives_aers_counts_bit_for_bit(method):
    """Pauli errors and readout errors keep a Clifford circuit one."""
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), ["cx"])
    model.add_all_qubit_readout_error(ReadoutError([[0.9, 0.1], [0.2, 0.8]]))
    found = counts(BELL, model.to_dict(serializable=True), method=method, shots=200)
    assert found == aers_counts(BELL, model, method=method, shots=200)
    assert len(found) == 4


@pytest.mark.parametrize("precision", ["single", "double"])
def test_noise_in_single_precision_is_aers_own_too(precision):
    """With the same seed."""
    model = everything()
    aer = AerSimulator(noise_model=model, precision=precision)
    circuit = transpile(qasm3.loads(MIXED), aer, optimization_level=0)
    result = aer.run(circuit, shots=1000, seed_simulator=7).result()
    assert counts(MIXED, model.to_dict(serializable=True), precision=precision) == (
        result.get_counts()
    )


@pytest.mark.parametrize("seed", [7, None])
def test_a_sweep_is_noisy_too(seed):
    """With a seed, each point is Aer's own."""
    points = ({"a": 0.0}, {"a": 1.0})
    found = counts(ROTATION, NAMED, parameters=points, seed=seed)
    assert len(found) == 2
    assert "1" in found[0]
    if seed is not None:
        assert found == [aers_counts(ROTATION, named_by_hand(), point=p) for p in points]


@pytest.mark.parametrize("wanted", [{}, {"errors": []}])
def test_an_empty_model_is_no_noise(wanted):
    """The same counts as without."""
    assert counts(BELL, wanted) == aers_counts(BELL, None)


def qerror(**fields):
    entry = {
        "type": "qerror",
        "operations": ["h"],
        "instructions": [[{"name": "x", "qubits": [0]}]],
        "probabilities": [1.0],
    }
    return {"errors": [{"type": "roerror", "probabilities": [[1, 0], [0, 1]]}, {**entry, **fields}]}


ONE = [[1, 0], [0, 1]]
THREE = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def step(**fields):
    return qerror(instructions=[[{"qubits": [0], **fields}]])


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (qerror(probabilities=[0.5]), "normalized"),
        (qerror(operations=["hadamard"]), "'hadamard'"),
        (qerror(gate_qubits=[[0, 1]]), "Number of qubits"),
        (step(name="pauli", params=["Q"]), "Q"),
        (step(name="pauli", params=["XX"]), "one string with a letter for each"),
        (step(name="pauli"), "one string with a letter for each"),
        (step(name="unitary", params=[[[1, 1], [1, 1]]]), "not unitary"),
        (step(name="unitary", params=[[[1, 0], [1]]]), "one 2 x 2 matrix"),
        (step(name="unitary", params=["X"]), "one 2 x 2 matrix"),
        (step(name="kraus", params=["X"]), "2 x 2 matrices"),
        (step(name="kraus", params=[[[1, 0, 0], [0, 1]]]), "2 x 2 matrices"),
        (step(name="kraus", params=[THREE]), "2 x 2 matrices"),
        (qerror(instructions=[[{"name": "kraus", "qubits": [0, 1], "params": [ONE]}]]), "4 x 4"),
        (step(name="kraus", params=[[[1, 0], [0, 1]], [[1, 0], [0, 0]]]), "no channel"),
        (step(name="kraus"), "2 x 2 matrices"),
        (step(name="rx", params=["1"]), "'rx'"),
        (step(name="measure"), "'measure'"),
        (step(name="wat"), "'wat'"),
    ],
)
def test_an_error_that_is_none_is_named_by_its_place(wanted, says):
    """Which of `errors`, and what is wrong with it."""
    message = error_of(wanted)
    assert message.startswith("noise_model.errors[1]: ")
    assert says in message
    assert len(message) > len("noise_model.errors[1]: ") + 5


def test_noise_that_a_method_cannot_run_is_an_invalid_option():
    """Relaxation is no Clifford operation."""
    wanted = {"thermal_relaxation": {"t1_s": 1e-4, "t2_s": 2e-4, "one_qubit_gate_s": 1e-5}}
    message = error_of(wanted, method="stabilizer")
    assert message.startswith("noise_model: method stabilizer cannot")
