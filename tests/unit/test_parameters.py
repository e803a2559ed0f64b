"""Inputs of circuits and sweeps over them: Aer's own counts at each point, and typed errors."""

import json

import pytest
import scipy.stats
from qiskit import qasm3, transpile
from qiskit_aer import AerSimulator

from qjet_executor.protocol import Job
from qjet_executor.simulate import Simulators
from tests.support.spread import UNLIKELY

pytestmark = [
    pytest.mark.unit,
    pytest.mark.filterwarnings("ignore:.*argument ``annotated``:DeprecationWarning"),  # Qiskit's
]

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
ROTATION = HEAD + "input float theta; qubit q; bit[1] c; ry(2 * theta) q; c = measure q;"
ANSATZ = (
    HEAD + "input float a; input angle b; qubit[3] q; bit[3] c;"
    "ry(a) q[0]; rz(b / 2) q[0]; cx q[0], q[1]; ry(a + b) q[2]; cx q[1], q[2]; h q;"
    "c = measure q;"
)
FEEDBACK = (
    HEAD + "input float a; qubit[2] q; bit[2] c; h q[0]; c[0] = measure q[0];"
    "if (c[0]) { ry(a) q[1]; } c[1] = measure q[1];"
)
CLIFFORD_HERE_AND_THERE = (
    HEAD + "input float a; qubit q; bit[1] c; h q; rz(a) q; h q; c = measure q;"
)
CONTROLLED = (
    HEAD + "input float a; gate g(t) x0, x1 { ry(t) x0; ctrl @ rx(2 * t) x0, x1; }"
    "qubit[3] q; bit[3] c; h q; ctrl @ g(a) q[0], q[1], q[2]; ctrl(2) @ rz(a) q[2], q[1], q[0];"
    "h q; c = measure q;"
)
EVERY_GATE = (
    HEAD + "input float a; qubit[2] q; bit[2] c; ry(0.3) q[0]; ry(1.3) q[1];"
    "{gate} ry(0.4) q[0]; ry(1.4) q[1]; c = measure q;"
)
GATES = [
    "rx(a) q[0];",
    "ry(a) q[0];",
    "rz(a) q[0];",
    "p(a) q[0];",
    "U(0.4, a, 1.0) q[0];",
    "crx(a) q[0], q[1];",
    "cry(a) q[0], q[1];",
    "crz(a) q[0], q[1];",
    "cp(a) q[0], q[1];",
    "cu(0.5, a, 0.7, 0.8) q[0], q[1];",
    "ctrl @ gphase(a) q[0];",
    "c[0] = measure q[0]; if (c[0]) { ry(a) q[1]; }",
    "c[0] = measure q[0]; if (c[0]) { h q[0]; crx(a) q[0], q[1]; }",
    "for uint i in [1:3] { ry(a * i) q[0]; }",
]
SWEEPS = {
    "rotation": (ROTATION, ({"theta": 0.0}, {"theta": 0.4}, {"theta": -3.0})),
    "ansatz": (ANSATZ, ({"a": 0.3, "b": 1.0}, {"a": 2.0, "b": -0.5})),
    "feedback": (FEEDBACK, ({"a": 0.3}, {"a": 2.5})),
    "clifford": (CLIFFORD_HERE_AND_THERE, ({"a": 0.0}, {"a": 0.3}, {"a": 1.5707963267948966})),
    "controlled": (CONTROLLED, ({"a": 0.3}, {"a": 2.5})),
}

simulators = Simulators(max_memory_mb=1000, max_threads=1)


def run(source, parameters, *, shots=500, seed=7, **more):
    return simulators.run(Job(qc=source, shots=shots, seed=seed, parameters=parameters, **more))


def counts(source, parameters, **options):
    outcome = run(source, parameters, **options)
    assert outcome.error is None, outcome.error
    return json.loads(outcome.counts)


def error_of(source, parameters, **options):
    error = run(source, parameters, **options).error
    assert error is not None
    return error


def aers_counts(source, point, *, shots=500, seed=7, method="automatic"):
    """Bind first, then run that one circuit, with nothing of qjet."""
    circuit = qasm3.loads(source).assign_parameters(point)
    aer = AerSimulator(method=method)
    if "ctrl" in source:
        circuit = transpile(circuit, aer, optimization_level=0)
    return aer.run(circuit, shots=shots, seed_simulator=seed).result().get_counts()


@pytest.mark.parametrize("method", ["automatic", "statevector", "matrix_product_state"])
@pytest.mark.parametrize("name", SWEEPS)
def test_with_a_seed_each_point_is_what_aer_gives_for_it_alone(name, method):
    """Bit for bit, wherever in the sweep the point stands."""
    source, points = SWEEPS[name]
    found = counts(source, points, method=method)
    assert found == [aers_counts(source, point, method=method) for point in points]


@pytest.mark.parametrize("name", SWEEPS)
def test_a_single_point_is_no_list(name):
    """One object of parameters gives one object of counts, as a circuit without inputs does."""
    source, (point, *_) = SWEEPS[name]
    assert counts(source, point) == aers_counts(source, point)
    assert counts(source, (point,)) == [aers_counts(source, point)]


@pytest.mark.parametrize("name", SWEEPS)
def test_without_a_seed_each_point_follows_its_own_distribution(name):
    """Against Aer's counts of the bound circuit, by chi-square; no point is mixed up."""
    source, points = SWEEPS[name]
    shots = 20_000
    found = counts(source, points, seed=None, shots=shots)
    assert len(found) == len(points)
    for ours, point in zip(found, points, strict=True):
        theirs = aers_counts(source, point, seed=11, shots=shots)
        assert sum(ours.values()) == shots
        keys = sorted(set(ours) | set(theirs))
        if len(keys) > 1:
            table = [[side.get(key, 0) for key in keys] for side in (ours, theirs)]
            assert scipy.stats.chi2_contingency(table).pvalue > UNLIKELY


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_takes_its_value_in_a_sweep(gate):
    """Also where Aer's own `parameter_binds` would overlook it, as in controlled gates."""
    source = EVERY_GATE.replace("{gate}", gate)
    found = counts(source, ({"a": 0.2}, {"a": 2.2}), seed=None, shots=20_000)
    for ours, angle in zip(found, (0.2, 2.2), strict=True):
        theirs = aers_counts(source, {"a": angle}, seed=3, shots=20_000)
        keys = sorted(set(ours) | set(theirs))
        table = [[side.get(key, 0) for key in keys] for side in (ours, theirs)]
        assert scipy.stats.chi2_contingency(table).pvalue > UNLIKELY


def test_more_points_than_fit_into_one_run_stay_in_order():
    """A rotation from 0 to 1 in 600 steps: the first is never 1, the last always."""
    points = tuple({"theta": 1.5707963267948966 * i / 599} for i in range(600))
    found = [each.get("1", 0) / 500 for each in counts(ROTATION, points, seed=None)]
    assert len(found) == 600
    assert (found[0], found[-1]) == (0, 1)
    assert all(abs(now - then) < 0.25 for now, then in zip(found[8:], found, strict=False))


def test_memory_of_a_sweep_is_a_list_for_each_point():
    """Each as long as there are shots, and as Aer gives it."""
    points = ({"theta": 0.4}, {"theta": 1.0})
    outcome = run(ROTATION, points, memory=True, shots=20)
    aer = AerSimulator()
    expected = [
        aer.run(
            qasm3.loads(ROTATION).assign_parameters(point),
            shots=20,
            seed_simulator=7,
            memory=True,
        )
        .result()
        .get_memory()
        for point in points
    ]
    assert json.loads(outcome.memory) == expected


def test_the_circuit_of_a_sweep_is_read_once():
    """The same source at other points costs no parsing either."""
    fresh = Simulators(max_memory_mb=1000, max_threads=1)
    job = {"qc": ANSATZ, "shots": 10, "seed": None, "method": "automatic", "memory": False}
    first = fresh.run(Job(**job, parameters=({"a": 0.1, "b": 0.2}, {"a": 0.1, "b": 0.3})))
    second = fresh.run(Job(**job, parameters={"a": 0.5, "b": 0.6}))
    assert first.phases.parse > 0
    assert second.phases.parse == 0


def test_the_method_is_named_where_all_points_took_the_same():
    """Aer may take another method where angles make a circuit a Clifford circuit."""
    source, points = SWEEPS["clifford"]
    assert run(source, points).method == "automatic"
    assert run(source, points[1:2]).method == "statevector"


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        (None, "parameters.a:"),
        ({"a": 0.5}, "parameters.b:"),
        ({"a": 0.5, "b": 1.0, "theta": 3.0}, "parameters.theta:"),
        (({"a": 0.5, "b": 1.0}, {"a": 0.5}), "parameters[1].b:"),
        (({"a": 0.5, "b": 1.0, "x": 1.0},), "parameters[0].x:"),
    ],
)
@pytest.mark.parametrize("seed", [7, None])
def test_a_missing_or_unknown_parameter_is_named(parameters, named, seed):
    """With its point, and what the circuit does declare."""
    error = error_of(ANSATZ, parameters, seed=seed)
    assert error.code == "invalid_option"
    assert error.message.startswith(named)
    assert "a, b" in error.hint


def test_an_input_that_is_not_used_still_takes_its_value():
    """It is declared; a value for it is no mistake, and none is."""
    source = ROTATION.replace("input", "input float unused; input", 1)
    assert counts(source, {"theta": 0.0, "unused": 1.0}) == {"0": 500}
    assert error_of(source, {"theta": 0.0}).message.startswith("parameters.unused:")


def test_a_circuit_without_inputs_takes_no_parameters():
    """OpenQASM 2 has no inputs at all."""
    source = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[1]; creg c[1]; measure q -> c;'
    assert error_of(source, {"theta": 1.0}).message.startswith("parameters.theta:")
    assert counts(source, {}) == {"0": 500}


@pytest.mark.parametrize("seed", [7, None])
@pytest.mark.parametrize("angle", ["1 / theta", "theta * 1e308 * theta"])
def test_a_point_that_makes_an_angle_infinite_is_named(angle, seed):
    """By its values, for the angle is worked out from them."""
    source = ROTATION.replace("2 * theta", angle)
    points = ({"theta": 1e-3}, {"theta": 0.0 if "/" in angle else 1e10})
    error = error_of(source, points, seed=seed)
    assert error.code == "invalid_option"
    assert f"theta = {points[1]['theta']:g}" in error.message


def test_a_state_too_large_is_refused_in_a_sweep_too():
    """As for one circuit, with figures."""
    source = HEAD + "input float a; qubit[40] q; bit[40] c; ry(a) q; c = measure q;"
    assert error_of(source, ({"a": 0.1}, {"a": 0.2}), seed=None).code == "too_many_qubits"


def test_a_sweep_whose_memory_would_be_too_large_is_refused_beforehand():
    """A list for each point adds up."""
    small = Simulators(max_memory_mb=1000, max_threads=1, max_result_mb=1)
    job = Job(
        qc=ROTATION,
        shots=100_000,
        seed=None,
        method="automatic",
        memory=True,
        parameters=({"theta": 0.1},) * 10,
    )
    assert small.run(job).error.code == "memory_limit"
