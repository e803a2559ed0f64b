"""Simulating: Aer's own counts bit for bit, analytic distributions, typed errors."""

import json
import subprocess
import sys
from collections import Counter
from functools import cache

import pytest
from qiskit import qasm2, qasm3, transpile
from qiskit_aer import AerSimulator

from qjet_executor.protocol import Job
from qjet_executor.qasm3 import importer
from qjet_executor.simulate import Simulators
from tests.support.spread import UNLIKELY, p_value

pytestmark = pytest.mark.unit

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
TWO = f"{HEAD}qubit[2] q;\nbit[2] c;\n"

BELL = TWO + "h q[0]; cx q[0], q[1]; c = measure q;"
GHZ = (
    HEAD
    + "qubit[5] q; bit[5] c; h q[0];"
    + "".join(f"cx q[{i}], q[{i + 1}];" for i in range(4))
    + "c = measure q;"
)
FEEDBACK = (
    TWO + "h q[0]; c[0] = measure q[0]; if (c[0]) { x q[1]; } else { h q[1]; } c = measure q;"
)
RESET = TWO + "h q[0]; cx q[0], q[1]; reset q[0]; c = measure q;"
REGISTERS = (
    HEAD + "qubit[4] q; bit[2] a; bit[1] b; bit[1] d;"
    "h q; cx q[0], q[3]; a[0] = measure q[0]; a[1] = measure q[1]; b[0] = measure q[2];"
    "d[0] = measure q[3];"
)
MID_CIRCUIT_T = (
    TWO + "h q[0]; t q[0]; h q[0]; c[0] = measure q[0]; if (c[0]) { t q[1]; } h q[1]; t q[1];"
    "h q[1]; c[1] = measure q[1];"
)
CUSTOM = (
    HEAD + "gate entangle(a) x0, x1 { ry(a) x0; ctrl @ x x0, x1; }\n"
    "qubit[3] q; bit[3] c; entangle(pi/3) q[0], q[1]; ctrl @ entangle(0.3) q[0], q[1], q[2];"
    "inv @ s q[2]; pow(2) @ t q[1]; negctrl @ h q[0], q[2]; c = measure q;"
)
WHILE = (
    TWO
    + "h q[0]; c[0] = measure q[0]; while (c[0]) { h q[0]; c[0] = measure q[0]; }"
    + "h q[1]; c = measure q;"
)
OPENQASM_2 = (
    'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[3];\ncreg c[2];\ncreg d[1];\n'
    "gate foo(a) x0, x1 { rx(a) x0; cu1(a/2) x0, x1; }\n"
    "h q; foo(0.7) q[0], q[1]; measure q[0] -> c[0]; if(c==1) x q[1]; u3(1,2,3) q[2];"
    "measure q[1] -> c[1]; measure q[2] -> d[0];"
)
SINGLE_BIT = "OPENQASM 3; qubit q; bit c; U(pi/2, 0, pi) q; c = measure q;"
CLIFFORD_100 = (
    HEAD
    + "qubit[100] q; bit[100] c; h q[0];"
    + "".join(f"cx q[{i}], q[{i + 1}];" for i in range(99))
    + "c = measure q;"
)
FORTY_WITH_T = (
    HEAD + "qubit[40] q; bit[40] c; h q[0]; t q[0]; h q[0]; cx q[0], q[1]; c = measure q;"
)

PROGRAMS = {
    "bell": BELL,
    "ghz": GHZ,
    "feedback": FEEDBACK,
    "reset": RESET,
    "registers": REGISTERS,
    "mid-circuit t": MID_CIRCUIT_T,
    "custom gates": CUSTOM,
    "while": WHILE,
    "openqasm 2": OPENQASM_2,
    "single bit": SINGLE_BIT,
}
CLIFFORD = {"bell", "ghz", "feedback", "reset", "registers", "while"}
METHODS = ("automatic", "statevector", "density_matrix", "matrix_product_state", "stabilizer")


@cache
def simulators(max_threads=1, max_memory_mb=1000):
    return Simulators(max_memory_mb=max_memory_mb, max_threads=max_threads)


def job(source, *, shots=1000, seed=7, method="automatic", memory=False):
    return Job(qc=source, shots=shots, seed=seed, method=method, memory=memory)


def run(source, *, max_threads=1, **options):
    return simulators(max_threads).run(job(source, **options))


def counts(source, **options):
    outcome = run(source, **options)
    assert outcome.error is None, outcome.error
    return json.loads(outcome.counts)


def error_of(source, **options):
    error = run(source, **options).error
    assert error is not None
    assert error.message
    return error


@cache
def reference_circuit(source, method):
    if source.startswith("OPENQASM 2"):
        legacy = qasm2.LEGACY_CUSTOM_INSTRUCTIONS
        circuit = qasm2.loads(source, custom_instructions=legacy)
    else:
        circuit = qasm3.loads(source)
    if source in (CUSTOM, OPENQASM_2):
        return transpile(circuit, AerSimulator(method=method), optimization_level=0)
    return circuit


def aers_counts(source, *, shots, seed, method):
    circuit = reference_circuit(source, method)
    result = AerSimulator(method=method).run(circuit, shots=shots, seed_simulator=seed).result()
    assert result.success
    return result.get_counts()


COMBINATIONS = [
    (name, method)
    for name in PROGRAMS
    for method in METHODS
    if method != "stabilizer" or name in CLIFFORD
]


@pytest.mark.parametrize("max_threads", [1, 2])
@pytest.mark.parametrize(("name", "method"), COMBINATIONS)
def test_counts_are_aers_own_bit_for_bit(name, method, max_threads):
    """Same source, options and seed: what `AerSimulator(method=…).run(…)` gives."""
    options = {"shots": 1000, "seed": 7, "method": method}
    found = counts(PROGRAMS[name], max_threads=max_threads, **options)
    assert found == aers_counts(PROGRAMS[name], **options)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**63 - 1])
@pytest.mark.parametrize("shots", [1, 2, 4096])
def test_seeds_and_shots_of_any_size_give_aers_counts(seed, shots):
    """From one shot to thousands, from seed 0 to the largest."""
    options = {"shots": shots, "seed": seed, "method": "statevector"}
    assert counts(MID_CIRCUIT_T, **options) == aers_counts(MID_CIRCUIT_T, **options)


@pytest.mark.parametrize("name", PROGRAMS)
def test_counts_sum_to_shots_without_a_seed_too(name):
    """No shot is lost, no shot is invented."""
    assert sum(counts(PROGRAMS[name], seed=None, shots=777).values()) == 777


def test_without_a_seed_two_runs_differ():
    """Each run draws anew, also for a circuit that is cached."""
    source = HEAD + "qubit[20] q; bit[20] c; h q; c = measure q;"
    assert counts(source, seed=None, shots=50) != counts(source, seed=None, shots=50)


def test_keys_show_registers_apart_with_the_last_declared_leftmost():
    """As Qiskit prints them, bit 0 rightmost."""
    source = (
        HEAD
        + "qubit[4] q; bit[3] a; bit[1] b; x q[0]; x q[3];"
        + ("a[0] = measure q[0]; a[1] = measure q[1]; a[2] = measure q[2]; b[0] = measure q[3];")
    )
    assert counts(source, shots=5) == {"1 001": 5}


@pytest.mark.parametrize(
    "declaration", ["bit[2] a; bit b;", "bit b; bit[2] a;"], ids=["bit last", "bit first"]
)
def test_a_single_bit_beside_a_register_is_not_lost(declaration):
    """Every classical bit shows in every key, and no shot is lost.

    The importer makes `bit b;` a bit outside all registers, which Qiskit's formatting cuts off.
    """
    source = (
        HEAD
        + "qubit[3] q; "
        + declaration
        + ("x q[0]; h q[2]; a[0] = measure q[0]; a[1] = measure q[1]; b = measure q[2];")
    )
    found = counts(source, shots=100)
    assert sum(found.values()) == 100
    assert {len(key.replace(" ", "")) for key in found} == {3}
    assert len(found) == 2


@pytest.mark.parametrize("name", ["bell", "feedback", "registers", "mid-circuit t", "openqasm 2"])
@pytest.mark.parametrize("seed", [7, None])
def test_memory_lists_each_shot_and_agrees_with_the_counts(name, seed):
    """One outcome per shot, in the same spelling."""
    outcome = run(PROGRAMS[name], memory=True, shots=300, seed=seed)
    memory = json.loads(outcome.memory)
    assert len(memory) == 300
    assert Counter(memory) == json.loads(outcome.counts)


def test_memory_is_aers_own_shot_by_shot():
    """In the order in which Aer drew them."""
    aer = AerSimulator(method="statevector")
    circuit = reference_circuit(GHZ, "statevector")
    expected = aer.run(circuit, shots=200, seed_simulator=3, memory=True).result().get_memory()
    outcome = run(GHZ, memory=True, shots=200, seed=3, method="statevector")
    assert json.loads(outcome.memory) == expected


def test_memory_is_empty_where_it_was_not_asked_for():
    """It would be as long as the shots are many."""
    assert run(BELL).memory == b""


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_cached_circuit_gives_the_same_counts(name):
    """The second run skips parsing and nothing else."""
    fresh = Simulators(max_memory_mb=1000, max_threads=1)
    first, second = (fresh.run(job(PROGRAMS[name])) for _ in range(2))
    assert first.counts == second.counts
    assert first.phases.parse > 0
    assert second.phases.parse == 0


def test_a_large_source_is_kept_as_well():
    """Room goes by bytes, not by the length of a text."""
    fresh = Simulators(max_memory_mb=1000, max_threads=1)
    large = job(BELL + "//" + " " * 200_000)
    first, second = fresh.run(large), fresh.run(large)
    assert first.counts == second.counts
    assert second.phases.parse == 0


def test_a_warm_sandbox_has_used_the_importer(monkeypatch):
    """Its first use takes 30 ms, for which no user's task should wait."""
    read = []
    load = importer.load
    monkeypatch.setattr(importer, "load", lambda source: read.append(source) or load(source))
    Simulators(max_memory_mb=1000, max_threads=1).warm_up()
    assert any("for " in source for source in read)


def test_a_failed_program_fails_the_second_time_too():
    """An error is not taken for a circuit."""
    assert error_of(TWO + "foo q;") == error_of(TWO + "foo q;")


@pytest.mark.parametrize(
    ("source", "method", "resolved"),
    [
        (BELL, "automatic", "stabilizer"),
        (MID_CIRCUIT_T, "automatic", "statevector"),
        (BELL, "statevector", "statevector"),
        (BELL, "matrix_product_state", "matrix_product_state"),
    ],
)
def test_the_method_that_ran_is_named(source, method, resolved):
    """`automatic` is resolved to what Aer chose."""
    assert run(source, method=method).method == resolved


def test_extended_stabilizer_runs():
    """The one method whose counts are approximate by design."""
    found = counts(
        MID_CIRCUIT_T.replace("if (c[0]) { t q[1]; } ", ""), method="extended_stabilizer", shots=5
    )
    assert sum(found.values()) == 5


def test_a_t_gate_on_the_stabilizer_method_is_an_invalid_option():
    """It is the option that is wrong, and the hint says what to do instead."""
    error = error_of(TWO + "h q[0]; t q[0]; h q[0]; c = measure q;", method="stabilizer")
    assert error.code == "invalid_option"
    assert "stabilizer" in error.message
    assert error.hint


def test_no_message_shows_qiskits_internal_circuit_names():
    """`circuit-49` means nothing to whoever sent the circuit."""
    error = error_of(TWO + "h q[0]; t q[0]; h q[0]; c = measure q;", method="stabilizer")
    assert "circuit-" not in error.message


def test_forty_qubits_with_t_gates_are_too_many():
    """The message says how much memory it takes and how much there is."""
    error = error_of(FORTY_WITH_T)
    assert error.code == "too_many_qubits"
    assert "40 qubits need 16 TiB" in error.message
    assert "1000 MiB" in error.message
    assert "matrix_product_state" in error.hint


@pytest.mark.parametrize("method", ["statevector", "density_matrix"])
def test_a_hundred_qubits_are_too_many_without_absurd_figures(method):
    """What overflows Aer's arithmetic is not shown as if it were a measurement."""
    error = error_of(CLIFFORD_100, method=method)
    assert error.code == "too_many_qubits"
    assert str(2**64 - 1) not in error.message


def test_matrix_product_state_runs_forty_qubits_with_little_entanglement():
    """As the hint of the error above promises."""
    found = counts(FORTY_WITH_T, method="matrix_product_state", shots=200)
    assert set(found) == {"0" * 40, "0" * 38 + "11"}


@pytest.mark.parametrize("method", ["automatic", "stabilizer"])
def test_a_hundred_qubit_clifford_circuit_runs(method):
    """GHZ on 100 qubits: all zeros or all ones."""
    assert set(counts(CLIFFORD_100, method=method)) == {"0" * 100, "1" * 100}


def rotation(angle):
    return HEAD + f"qubit q; bit[1] c; ry({angle}) q; c = measure q;"


W_STATE = HEAD + (
    "qubit[3] q; bit[3] c; ry(1.9106332362490186) q[0]; ctrl @ h q[0], q[1]; cx q[1], q[2];"
    "cx q[0], q[1]; x q[0]; c = measure q;"
)
ANALYTIC = {
    "bell": (BELL, {"00": 0.5, "11": 0.5}),
    "rotation by a third of pi": (rotation("pi/3"), {"0": 0.75, "1": 0.25}),
    "uniform": (
        HEAD + "qubit[3] q; bit[3] c; h q; c = measure q;",
        {f"{i:03b}": 1 / 8 for i in range(8)},
    ),
    "t between hadamards": (
        HEAD + "qubit q; bit[1] c; h q; t q; h q; c = measure q;",
        {"0": (2 + 2**0.5) / 4, "1": (2 - 2**0.5) / 4},
    ),
    "feedback": (FEEDBACK, {"11": 0.5, "00": 0.25, "10": 0.25}),
    "while until zero": (WHILE, {"00": 0.5, "10": 0.5}),
    "w state": (W_STATE, {"001": 1 / 3, "010": 1 / 3, "100": 1 / 3}),
    "reset": (RESET, {"00": 0.5, "10": 0.5}),
}


@pytest.mark.parametrize("seed", [11, None], ids=["seeded", "unseeded"])
@pytest.mark.parametrize("name", ANALYTIC)
def test_counts_follow_the_analytic_distribution(name, seed):
    """Chi-square against probabilities worked out by hand, and no other outcome."""
    source, probabilities = ANALYTIC[name]
    shots = 20_000
    found = counts(source, shots=shots, seed=seed)
    assert found.keys() == probabilities.keys()
    assert p_value(found, probabilities) > UNLIKELY


def test_a_measurement_inside_an_if_block_alone_can_be_run():
    """Where nothing else measures, the block's bits are counted."""
    assert counts(TWO + "if (c[0]) { c[1] = measure q[0]; }", shots=10) == {"00": 10}


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("gate kraus a { x a; } qubit q; bit[1] c; kraus q;", "1"),
        ("gate unitary a { x a; } qubit q; bit[1] c; unitary q;", "1"),
        ("gate mark a { x a; } qubit q; bit[1] c; mark q;", "1"),
        ("gate qerror_loc a { x a; } qubit q; bit[1] c; qerror_loc q;", "1"),
        ("gate ecr a { x a; } qubit q; bit[1] c; ecr q;", "1"),
        ("gate pauli a { x a; } qubit q; bit[1] c; pauli q;", "1"),
        ("gate save_state a { x a; } qubit q; bit[1] c; save_state q;", "1"),
        ("gate set_statevector a { x a; } qubit q; bit[1] c; set_statevector q;", "1"),
        ("gate my_x a { x a; } qubit q; bit[1] c; my_x q;", "1"),
    ],
    ids=lambda text: text.split(" ")[1] if " " in text else "",
)
def test_a_gate_is_what_the_program_defines_whatever_its_name(source, outcome):
    """A user's gate may have the name of one of Aer's own instructions."""
    assert counts(f"{HEAD}{source} c = measure q;", shots=10) == {outcome: 10}


_RUN_ONE = """
import sys
from qjet_executor.protocol import Job
from qjet_executor.qasm3 import importer
from qjet_executor.simulate import Simulators
from tests.support.spread import UNLIKELY, p_value
outcome = Simulators(max_memory_mb=100, max_threads=1).run(
    Job(qc=sys.argv[1], shots=10, seed=7, method="automatic", memory=False)
)
print(outcome.error or outcome.counts.decode())
"""


@pytest.mark.parametrize("name", ["initialize", "diagonal"])
def test_a_gate_named_like_an_instruction_does_not_kill_the_process(name):
    """Aer reads the parameters that its own instruction would have; so in a process apart."""
    source = f"{HEAD}gate {name} a {{ x a; }} qubit q; bit[1] c; {name} q; c = measure q;"
    done = subprocess.run(
        [sys.executable, "-c", _RUN_ONE, source], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout == '{"1":10}\n'


def test_a_gate_defined_without_the_standard_library_is_what_it_says():
    """Without `stdgates.inc`, `x` is free, and here it is an identity."""
    source = "OPENQASM 3; gate x a { U(0, 0, 0) a; } qubit q; bit[1] c; x q; c = measure q;"
    assert counts(source, shots=10) == {"0": 10}


@pytest.mark.parametrize("angle", ["1e999", "1e999 - 1e999", "1e999 * 0"])
def test_an_angle_that_is_no_number_is_an_error(angle):
    """Aer would count nonsense: every outcome reads as all ones."""
    error = error_of(f"{TWO}rx({angle}) q[0]; c = measure q;")
    assert error.code in {"qasm_syntax", "qasm_unsupported", "invalid_option"}


def test_an_input_without_a_value_is_named():
    """A free parameter is no failure of the simulation."""
    error = error_of(f"{TWO}input float theta;\nrx(theta) q[0]; c = measure q;")
    assert error.code in {"qasm_unsupported", "invalid_option"}
    assert "theta" in error.message


@pytest.mark.parametrize(
    "source",
    [
        "OPENQASM 2.0; qreg q[1]; creg c[1]; opaque foo a; foo q[0]; measure q -> c;",
        TWO + "box { h q[0]; } c = measure q;",
    ],
    ids=["opaque", "box"],
)
def test_what_no_method_can_run_is_unsupported(source):
    """Nobody is told to leave out an option that was not given."""
    error = error_of(source)
    assert error.code == "qasm_unsupported"
    assert "Leave `method` out" not in (error.hint or "")
    assert error.message.count('"') % 2 == 0


@pytest.mark.parametrize(
    ("source", "code"),
    [("", "qasm_syntax"), (TWO, "no_measurements"), ("OPENQASM 9;", "qasm_unsupported")],
)
def test_what_cannot_be_read_ends_with_the_readers_error(source, code):
    """The error's code passes through."""
    assert error_of(source).code == code


def test_warming_up_makes_the_first_circuit_quick_and_proves_that_aer_works():
    """Nothing of it raises on a machine that can simulate."""
    fresh = Simulators(max_memory_mb=100, max_threads=1)
    fresh.warm_up()
    assert fresh.run(job(BELL)).error is None


@pytest.mark.parametrize("then", ["reset q[0];", "if (c[0]) { x q[1]; }"])
@pytest.mark.parametrize("memory_mb", [4, 5, 8])
def test_shots_side_by_side_need_no_more_memory_than_one(memory_mb, then):
    """Aer gives no counts, or a refusal without figures, where its threads have no state each."""
    qubits = "".join(f"ry(0.3) q[{n}];" for n in range(18))
    source = f"{HEAD}qubit[18] q; bit[18] c; {qubits}c[0] = measure q[0]; {then} c = measure q;"
    small = Simulators(max_memory_mb=memory_mb, max_threads=2)
    outcome = small.run(job(source, shots=5, method="statevector"))
    assert json.loads(outcome.counts) == counts(source, shots=5, method="statevector")
    too_small = Simulators(max_memory_mb=3, max_threads=2).run(job(source, shots=5)).error
    assert "18 qubits need 4 MiB" in too_small.message
