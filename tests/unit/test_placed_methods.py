"""Which method runs: tableaus for Clifford circuits, matrix product states where allowed."""

import json
import math
from functools import cache

import pytest
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit.library import (
    CPhaseGate,
    CRXGate,
    CRYGate,
    CRZGate,
    CU1Gate,
    PhaseGate,
    RGate,
    RXGate,
    RXXGate,
    RYGate,
    RYYGate,
    RZGate,
    RZXGate,
    RZZGate,
    U1Gate,
    U2Gate,
    U3Gate,
    UGate,
)
from qiskit.quantum_info import Operator
from qiskit_aer import AerSimulator

from qjet_executor.protocol import Job
from qjet_executor.simulate import Simulators
from qjet_executor.tableau import as_clifford
from qjet_shared.errors import FieldError
from qjet_shared.messages.submission import Submission
from qjet_shared.options import MethodOptions
from qjet_shared.submissions import Limits, read_json

pytestmark = pytest.mark.unit

HEAD = 'OPENQASM 3; include "stdgates.inc"; '
QUARTER = math.pi / 2
GATES = {
    1: (RXGate, RYGate, RZGate, PhaseGate, U1Gate),
    2: (U2Gate, RGate),
    3: (UGate, U3Gate),
}
COUPLINGS = (RZZGate, RXXGate, RYYGate, RZXGate)
CONTROLLED = (CPhaseGate, CU1Gate, CRXGate, CRYGate, CRZGate)


@cache
def simulators(max_memory_mb=1000):
    return Simulators(max_memory_mb=max_memory_mb, max_threads=1)


def run(source, *, max_memory_mb=1000, seed=None, method="automatic", **options):
    job = Job(qc=source, shots=500, seed=seed, method=method, memory=False, **options)
    outcome = simulators(max_memory_mb).run(job)
    assert outcome.error is None, outcome.error
    return json.loads(outcome.counts), outcome.method


def _gates():
    for count, kinds in GATES.items():
        yield from (
            kind(*(n * t * QUARTER for n in range(1, count + 1)))
            for kind in kinds
            for t in range(-3, 5)
        )
    yield from (kind(turns * QUARTER) for kind in COUPLINGS for turns in range(-3, 5))
    yield from (kind(turns * math.pi) for kind in CONTROLLED for turns in range(-3, 5))


@pytest.mark.parametrize("gate", list(_gates()), ids=lambda gate: f"{gate.name} {gate.params}")
def test_a_gate_by_quarter_turns_is_the_same_in_clifford_gates(gate):
    """On any of its qubits, but for a global phase; Aer then takes a tableau for it."""
    circuit = QuantumCircuit(3)
    circuit.append(gate, [2, 0][: gate.num_qubits])
    clifford = as_clifford(circuit)
    assert clifford is not None
    assert Operator(clifford).equiv(Operator(circuit))
    clifford.measure_all()
    result = AerSimulator().run(clifford, shots=1).result()
    assert result.results[0].metadata["method"] == "stabilizer"


@pytest.mark.parametrize(
    "gate",
    [
        RXGate(0.3),
        UGate(QUARTER, 0.1, 0),
        CRZGate(QUARTER),
        CPhaseGate(QUARTER),
        RZZGate(1e-6),
        CRXGate(math.pi, ctrl_state=0),
    ],
    ids=lambda gate: f"{gate.name} {gate.params}",
)
def test_other_gates_are_left_alone(gate):
    """No Clifford gates, or conditions that are not looked into."""
    circuit = QuantumCircuit(2)
    circuit.append(gate, [0, 1][: gate.num_qubits])
    assert as_clifford(circuit) is None


def test_sixty_qubits_of_quarter_turns_run_on_a_tableau():
    """Which no state vector could hold; with a measurement on the way, and a condition."""
    gates = "".join(f"ry(pi/2) q[{n}]; U(pi, 0, pi) q[{n}];" for n in range(60))
    source = (
        f"{HEAD}qubit[60] q; bit[60] c; {gates} rx(pi) q[0]; c[0] = measure q[0]; "
        "if (c[0]) { x q[1]; } reset q[2]; c = measure q;"
    )
    counts, method = run(source)
    assert method == "stabilizer"
    assert sum(counts.values()) == 500
    assert all(outcome[-3] == "0" for outcome in counts)


def test_with_a_seed_aers_own_choice_stays():
    """Its counts are what is promised, bit for bit."""
    source = f"{HEAD}qubit[2] q; bit[2] c; ry(pi/2) q[0]; cx q[0], q[1]; c = measure q;"
    counts, method = run(source, seed=5)
    result = AerSimulator().run(qasm3.loads(source), shots=500, seed_simulator=5).result()
    assert counts == result.get_counts()
    assert method == result.results[0].metadata["method"] == "statevector"
    assert run(source)[1] == "stabilizer"


CHAIN = "".join(f"ry(0.3) q[{n}]; cx q[{n}], q[{n + 1}];" for n in range(39))
FORTY = f"{HEAD}qubit[40] q; bit[40] c; {CHAIN} c = measure q;"


@pytest.mark.parametrize("method", ["automatic", "statevector"])
@pytest.mark.parametrize("seed", [None, 7])
def test_what_does_not_fit_falls_back_where_it_may(method, seed):
    """And says so; with a seed, its counts are those of the method that it fell back to."""
    counts, taken = run(FORTY, method=method, seed=seed, fallback="matrix_product_state")
    assert taken == "matrix_product_state"
    if seed is not None:
        aer = AerSimulator(method="matrix_product_state")
        expected = aer.run(qasm3.loads(FORTY), shots=500, seed_simulator=seed).result()
        assert counts == expected.get_counts()


def test_what_fits_does_not_fall_back():
    """Nor does what a tableau holds."""
    eight = f"{HEAD}qubit[8] q; bit[8] c; ry(0.3) q; c = measure q;"
    assert run(eight, fallback="matrix_product_state")[1] == "statevector"
    many = f"{HEAD}qubit[80] q; bit[80] c; h q; c = measure q;"
    assert run(many, fallback="matrix_product_state")[1] == "stabilizer"


def test_without_a_fallback_it_is_refused_and_told_of_it():
    """The hint names the field."""
    job = Job(qc=FORTY, shots=10, seed=None, method="automatic", memory=False)
    error = simulators().run(job).error
    assert error.code == "too_many_qubits"
    assert "`fallback`" in error.hint


def test_options_of_the_fallback_are_taken_and_others_refused():
    """As if it were the method."""
    options = MethodOptions(matrix_product_state_max_bond_dimension=4)
    counts, _ = run(FORTY, seed=3, fallback="matrix_product_state", method_options=options)
    aer = AerSimulator(method="matrix_product_state", matrix_product_state_max_bond_dimension=4)
    expected = aer.run(qasm3.loads(FORTY), shots=500, seed_simulator=3).result().get_counts()
    assert counts == expected
    asked = {"qc": FORTY, "method_options": {"matrix_product_state_max_bond_dimension": 4}}
    allowed = read_json(
        json.dumps({**asked, "fallback": "matrix_product_state"}).encode(), Limits()
    )
    assert isinstance(allowed, Submission)
    with pytest.raises(FieldError):
        read_json(json.dumps(asked).encode(), Limits())
