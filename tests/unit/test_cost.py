"""What a task will cost, by its text: on the right side of the line between the lanes."""

import pytest

from qjet_executor.seats import Seats
from qjet_shared.cost import LARGE_S, estimated_s, lane_of
from qjet_shared.messages.submission import Submission
from qjet_shared.noise import (
    Depolarizing,
    NoiseModel,
    QuantumErrorEntry,
    Readout,
    Step,
    ThermalRelaxation,
)
from tests.support.circuits import BELL, COIN_20, ENDLESS

pytestmark = pytest.mark.unit

HEAD = 'OPENQASM 3; include "stdgates.inc"; '


def layers(qubits: int, count: int) -> str:
    lines = "".join(f"h q[{n}];" for n in range(qubits)) * count
    return f"{HEAD}qubit[{qubits}] q; bit[{qubits}] c; {lines} c = measure q;"


FEEDBACK = BELL + " if (c[0]) { x q[1]; }" + " c[0] = measure q[0];"
GATES = NoiseModel(depolarizing=Depolarizing(one_qubit=0.01))
RELAXING = NoiseModel(thermal_relaxation=ThermalRelaxation(t1_s=1, t2_s=1, one_qubit_gate_s=1))
READING = NoiseModel(readout=Readout(p01=0.1))
WRITTEN = NoiseModel(
    errors=(
        QuantumErrorEntry(
            operations=("h",), instructions=((Step(name="x", qubits=(0,)),),), probabilities=(1.0,)
        ),
    )
)

DOUBLING = "gate g0 a { x a; } " + "".join(
    f"gate g{n} a {{ g{n - 1} a; g{n - 1} a; }} " for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("qc", "options"),
    [
        (BELL, {}),
        (BELL, {"shots": 100_000}),
        (COIN_20, {}),
        (layers(16, 10), {}),
        ("OPENQASM 2.0; qreg q[3]; creg c[3]; measure q->c;", {}),
        (layers(100, 1), {"method": "stabilizer", "shots": 100}),
        (layers(100, 1), {"shots": 100}),
        (layers(20, 2), {"method": "matrix_product_state"}),
        (HEAD + "gate g a { x a; } qubit q; bit c; g q; c = measure q;", {}),
        (BELL, {"parameters": ({},) * 100}),
        (BELL, {"noise_model": GATES}),
        (BELL, {"noise_model": GATES, "shots": 100_000}),
        (BELL, {"noise_model": GATES, "parameters": ({},) * 50}),
        (layers(16, 2), {"noise_model": READING}),
        (layers(6, 4), {"noise_model": RELAXING, "method": "density_matrix"}),
        (layers(8, 2), {"noise_model": WRITTEN, "shots": 200}),
        (FEEDBACK, {"shots": 10_000}),
        ("// nothing at all", {}),
        ("x;" * 10_000, {}),
        ("OPENQASM 2.0; qreg q[3]; " + "x q[0];" * 10_000, {}),
        ("// int\n" * 10_000 + layers(3, 5), {}),
    ],
)
def test_small_tasks_stay_in_the_default_lane(qc, options):
    """What takes less than half a second."""
    assert lane_of(Submission(qc=qc, **options)) == "default"


@pytest.mark.parametrize(
    ("qc", "options"),
    [
        (layers(25, 1), {}),
        (BELL, {"parameters": ({},) * 1000}),
        (layers(18, 1), {"parameters": ({},) * 100}),
        (layers(12, 4), {"noise_model": GATES}),
        (layers(12, 4), {"noise_model": WRITTEN, "method": "statevector"}),
        (layers(10, 4), {"noise_model": RELAXING, "method": "density_matrix"}),
        (layers(100, 3), {"noise_model": GATES, "method": "stabilizer"}),
        (BELL, {"noise_model": READING, "parameters": ({},) * 100}),
        (FEEDBACK, {"shots": 100_000}),
        (layers(16, 1), {"observables": ({"Z" * 16: 1.0, "X" * 16: 1.0},) * 1000}),
        (layers(28, 1), {}),
        (layers(500, 1), {"method": "stabilizer"}),
        (layers(3, 1), {"method": "extended_stabilizer"}),
        (layers(100, 1), {"method": "matrix_product_state"}),
        (layers(13, 1), {"method": "density_matrix"}),
        (ENDLESS, {}),
        (HEAD + "for int i in [0:1000000000] { x q; }", {}),
        (HEAD + "qubit q; pow(1000000000) @ x q;", {}),
        (HEAD + DOUBLING + "qubit q; bit c; g29 q; c = measure q;", {}),
        (HEAD + "qubit[N] q;", {}),
        (BELL, {"shots": 1_000_000}),
        (
            layers(10, 10).replace("c = measure q;", "c = measure q; x q[0]; c = measure q;"),
            {"shots": 1_000_000},
        ),
        (layers(10, 10) + "reset q;", {"shots": 100_000}),
        (HEAD + "qubit[0x1c] q; h q;", {}),
        ("OPENQASM 2.0; qreg a[20]; qreg b[10];" + "h a;" * 5, {}),
        ("x;" * 50_000, {}),
        ("input float t;" + "x;" * 2000, {}),
        (layers(2, 1000).replace("bit[2] c;", "bit[2] c; let a = q[0];"), {}),
    ],
)
def test_large_and_unknown_tasks_wait_in_their_own_lane(qc, options):
    """What takes longer, and what cannot be told from the text."""
    assert lane_of(Submission(qc=qc, **options)) == "large"


@pytest.mark.parametrize("qubits", [2, 8, 12])
@pytest.mark.parametrize("shots", [1, 1024, 10_000])
def test_noise_on_gates_costs_more_and_on_reading_hardly(qubits, shots):
    """Each shot has its own errors, or the state is a mixed one."""
    plain, reading, gates = (
        estimated_s(Submission(qc=layers(qubits, 2), shots=shots, noise_model=noise))
        for noise in (None, READING, GATES)
    )
    assert plain < reading < plain + 0.01
    assert gates > reading


def test_many_shots_of_a_noisy_circuit_cost_no_more_than_its_mixed_state():
    """Aer computes that where there are more shots than outcomes."""
    few, many = (
        estimated_s(Submission(qc=layers(5, 2), shots=shots, noise_model=GATES))
        for shots in (33, 10_000)
    )
    assert many < few + 10_000 * 2e-6


def test_more_work_never_costs_less():
    """Qubits, gates and shots each add."""
    costs = [estimated_s(Submission(qc=layers(n, 2))) for n in range(1, 30)]
    assert costs == sorted(costs)
    assert costs[0] < LARGE_S < costs[-1]


@pytest.mark.parametrize("size", [1, 2, 8])
def test_an_idle_executor_takes_both_kinds(size):
    """As many small tasks as run at once, and one large one."""
    seats = Seats(size)
    assert seats.room("large", seats.sandboxes) == 1
    assert seats.room("default", seats.sandboxes) == size


@pytest.mark.parametrize("size", [1, 2, 8])
def test_large_tasks_take_every_place_but_one(size):
    """However many there are, a small one starts at once."""
    seats = Seats(size)
    taken = 0
    while seats.room("large", seats.sandboxes):
        seats.claim("large")
        taken += 1
    assert taken == size
    assert seats.room("default", seats.sandboxes) == 1


@pytest.mark.parametrize("size", [1, 2, 8])
def test_small_tasks_take_every_place_but_one(size):
    """However many there are, a large one starts at once."""
    seats = Seats(size)
    while seats.room("default", seats.sandboxes):
        seats.claim("default")
    assert seats.room("large", seats.sandboxes) == 1
    seats.claim("large")
    assert seats.room("large", seats.sandboxes) == seats.room("default", seats.sandboxes) == 0
    seats.release("default")
    assert seats.room("default", seats.sandboxes) + seats.room("large", seats.sandboxes) == 1


@pytest.mark.parametrize("live", [0, 1, 2])
def test_sandboxes_that_are_not_up_give_no_room(live):
    """Room never exceeds what is up."""
    seats = Seats(4)
    assert seats.room("default", live) + seats.room("large", live) <= live
