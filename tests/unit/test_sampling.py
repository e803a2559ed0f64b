"""Drawing counts: spelled as Qiskit spells them, spread as Aer's, where it is quicker."""

import json
import re
from collections import Counter

import numpy as np
import pytest
import scipy.stats
from qiskit import QuantumCircuit, qasm3
from qiskit.quantum_info import Statevector
from qiskit.result.postprocess import format_counts_memory

from qjet_executor.protocol import Job
from qjet_executor.sampling import Labels, sampling_of
from qjet_executor.simulate import Simulators
from tests.support.spread import UNLIKELY, p_value

pytestmark = pytest.mark.unit

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


def turned(qubits, registers):
    """Return qubits turned by different angles, measured in reverse into registers."""
    names = [f"r{number}" for number in range(len(registers))]
    declared = "".join(f"bit[{size}] {name};" for name, size in zip(names, registers, strict=True))
    places = [f"{n}[{i}]" for n, size in zip(names, registers, strict=True) for i in range(size)]
    return (
        f"{HEAD}qubit[{qubits}] q; {declared}"
        + "".join(f"ry({0.2 + 0.05 * i}) q[{i}];" for i in range(qubits))
        + "".join(f"cx q[{i}], q[{i + 1}];" for i in range(0, qubits - 1, 3))
        + "".join(f"{place} = measure q[{qubits - 1 - i}];" for i, place in enumerate(places))
    )


def run(source, *, memory_mb=1000, method="statevector", rng_seed=1, **options):
    """Run with random numbers that are the same each time the tests are."""
    wanted = {"shots": 20_000, "seed": None, "memory": False, **options}
    fresh = Simulators(max_memory_mb=memory_mb, max_threads=1)
    fresh._rng = np.random.default_rng(rng_seed)
    outcome = fresh.run(Job(qc=source, method=method, **wanted))
    assert outcome.error is None, outcome.error
    return outcome


def likely(source, registers):
    """Work out each outcome's probability from the state vector, with nothing of qjet or Aer."""
    circuit = qasm3.loads(source)
    state = Statevector(circuit.remove_final_measurements(inplace=False))
    bits = {
        circuit.find_bit(i.clbits[0]).index: circuit.find_bit(i.qubits[0]).index
        for i in circuit.get_instructions("measure")
    }
    outcomes = {}
    for number, share in enumerate(state.probabilities(list(bits.values()))):
        value = sum((number >> place & 1) << bit for place, bit in enumerate(bits))
        label = spelled(value, registers)
        outcomes[label] = outcomes.get(label, 0) + share
    return {label: share for label, share in outcomes.items() if share > 1e-12}


def spelled(value, registers):
    """Spell an outcome as Qiskit prints it."""
    sizes = [[f"r{number}", size] for number, size in enumerate(registers)]
    header = {"creg_sizes": sizes, "memory_slots": sum(registers)}
    return format_counts_memory(hex(value), header)


def random_program(rng):
    """Return a random circuit that measures qubits into some of its bits, and its registers."""
    qubits = int(rng.integers(2, 6))
    registers = [int(size) for size in rng.integers(1, 4, size=int(rng.integers(1, 4)))]
    places = [f"r{n}[{i}]" for n, size in enumerate(registers) for i in range(size)]
    lines = [f"qubit[{qubits}] q;", *(f"bit[{size}] r{n};" for n, size in enumerate(registers))]
    for _ in range(12):
        one, other = rng.choice(qubits, 2, replace=False)
        angles = ", ".join(f"{angle:.6f}" for angle in rng.uniform(0, 6.28, 3))
        lines += [f"U({angles}) q[{one}];", f"cx q[{one}], q[{other}];"]
    measured = min(qubits, len(places))
    bits = rng.choice(places, measured, replace=False)
    lines += [f"{b} = measure q[{q}];" for b, q in zip(bits, rng.permutation(qubits), strict=False)]
    return HEAD + "".join(lines), registers


def test_p_values_over_many_circuits_are_evenly_spread():
    """Not only is none tiny: too good or too bad a fit, however small, would bend them."""
    rng = np.random.default_rng(20)
    found = []
    for number in range(120):
        source, registers = random_program(rng)
        counts = json.loads(run(source, rng_seed=number, shots=5000, memory=number % 2 == 0).counts)
        found.append(p_value(counts, likely(source, registers)))
    assert min(found) > 1e-4
    assert scipy.stats.kstest(found, "uniform").pvalue > 1e-2


def reordered(source):
    """Measure two qubits into each other's bits."""
    swapped = {"r0[0] =": "r0[1] =", "r0[1] =": "r0[0] ="}
    return re.sub(r"r0\[[01]\] =", lambda found: swapped[found[0]], source)


def biased(source):
    """Turn the first qubit a little too far: the chance of a 1 is 3 % rather than 1 %."""
    return source.replace("ry(0.2)", "ry(0.35)")


@pytest.mark.parametrize("wrong", [reordered, biased])
@pytest.mark.parametrize("shots", [20_000, 200_000])
def test_a_wrong_distribution_would_be_seen(wrong, shots):
    """So that the tests here can fail: bits in disorder, or an angle a little off."""
    source = turned(5, [5])
    assert wrong(source) != source
    right = likely(source, [5])
    assert p_value(json.loads(run(source, shots=shots).counts), right) > 1e-3
    assert p_value(json.loads(run(wrong(source), shots=shots).counts), right) < UNLIKELY


@pytest.mark.parametrize("registers", [[], [5], [2, 3], [1, 1, 3], [3, 2, 2]])
def test_outcomes_are_spelled_as_qiskit_does(registers):
    """Bit 0 rightmost, registers apart, unmeasured bits 0."""
    clbits = sum(registers) or 5
    bits = [3, 0, 4]
    sizes = [[f"r{number}", size] for number, size in enumerate(registers)]
    header = {"creg_sizes": sizes, "memory_slots": clbits}
    outcomes = np.arange(8)
    expected = [
        format_counts_memory(hex(sum((o >> i & 1) << b for i, b in enumerate(bits))), header)
        for o in outcomes.tolist()
    ]
    assert Labels(bits, clbits, registers).of(outcomes) == expected


@pytest.mark.parametrize("registers", [[14], [3, 11]], ids=["one", "two"])
@pytest.mark.parametrize("shots", [3000, 40_000], ids=["fewer shots", "more shots"])
def test_counts_beyond_twelve_qubits_follow_the_state(registers, shots):
    """Fewer shots than outcomes, and more."""
    source = turned(14, registers)
    counts = json.loads(run(source, shots=shots).counts)
    assert sum(counts.values()) == shots
    assert p_value(counts, likely(source, registers)) > UNLIKELY


@pytest.mark.parametrize("qubits", [5, 13])
def test_each_shot_without_a_seed_follows_the_state(qubits):
    """In an order of its own: the first half is spread as the second."""
    source = turned(qubits, [qubits])
    outcome = run(source, memory=True)
    memory = json.loads(outcome.memory)
    assert Counter(memory) == json.loads(outcome.counts)
    right = likely(source, [qubits])
    assert p_value(Counter(memory[:10_000]), right) > UNLIKELY
    assert p_value(Counter(memory[10_000:]), right) > UNLIKELY


def test_a_circuit_of_twenty_qubits_is_drawn_for_many_shots():
    """All of them arrive."""
    counts = json.loads(run(turned(20, [20]), shots=100_000).counts)
    assert sum(counts.values()) == 100_000


def measured(qubits, *gates):
    circuit = QuantumCircuit(qubits, qubits)
    for gate in gates:
        getattr(circuit, gate)(range(qubits))
    circuit.measure(range(qubits), range(qubits))
    return circuit


@pytest.mark.parametrize(
    ("qubits", "shots", "memory_mb", "suits"),
    [
        (5, 1, 100, True),
        (16, 100, 1000, True),
        (17, 9_999, 1000, False),
        (17, 10_000, 1000, True),
        (20, 100_000, 63, False),
        (20, 100_000, 64, True),
        (30, 100_000, 1000, False),
    ],
)
def test_it_is_drawn_where_that_is_quicker_and_fits(qubits, shots, memory_mb, suits):
    """Beyond 16 qubits it takes many shots, and always memory for the probabilities."""
    sampling = sampling_of(measured(qubits, "t"), "statevector")
    assert sampling is not None
    assert sampling.suits(shots, memory_mb) is suits


@pytest.mark.parametrize(
    ("qubits", "method", "gates", "is_drawn"),
    [
        (12, "automatic", ["h"], True),
        (13, "automatic", ["h"], False),
        (13, "stabilizer", ["h"], False),
        (13, "statevector", ["h"], True),
        (13, "automatic", ["h", "t"], True),
        (5, "matrix_product_state", ["h"], False),
    ],
)
def test_tableaus_are_drawn_from_only_where_they_are_small(qubits, method, gates, is_drawn):
    """Their probabilities take longer than shots, once there are many random bits."""
    assert (sampling_of(measured(qubits, *gates), method) is not None) is is_drawn
