"""Sizes told before anything is built: of states, of programs, of results."""

import time

import pytest
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from qjet_executor import extent, refusals
from qjet_executor.estimate import needed_bytes
from tests.support import hostile

pytestmark = pytest.mark.unit

MIB = 1 << 20


@pytest.mark.parametrize(
    ("method", "qubits", "mib"),
    [
        ("statevector", 24, 256),
        ("statevector", 40, 16_777_216),
        ("density_matrix", 12, 256),
        ("density_matrix", 15, 16_384),
        ("stabilizer", 10_000, 3_053),
    ],
)
def test_the_estimate_is_what_aer_says_itself(method, qubits, mib):
    """Asked with next to no memory, Aer tells how much it would need."""
    assert needed_bytes(method, qubits) / MIB == pytest.approx(mib, rel=1e-4)
    circuit = QuantumCircuit(qubits, 1)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure(qubits - 1, 0)
    result = AerSimulator(method=method, max_memory_mb=1).run(circuit).result()
    assert f"Required memory: {mib}M" in result.results[0].status


def test_single_precision_takes_half():
    """Eight bytes an amplitude instead of sixteen."""
    assert needed_bytes("statevector", 30, "single") == 2.0**33
    assert needed_bytes("density_matrix", 10, "single") == 2.0**23


@pytest.mark.parametrize("method", ["statevector", "density_matrix", "extended_stabilizer"])
def test_no_number_of_qubits_is_too_large_to_be_estimated(method):
    """A million qubits are simply more than there is."""
    assert needed_bytes(method, 1_000_000) == float("inf")


@pytest.mark.parametrize(
    ("code", "version", "refused"),
    [
        ("qubit[1_000_000] q;", 3, "too_many_qubits"),
        ("qubit[0xFFFFFFFF] q;", 3, "too_many_qubits"),
        ("qubit[99999999999999999999999] q;", 3, "too_many_qubits"),
        ("qreg q[1000000];", 2, "too_many_qubits"),
        ("qubit[60000] q; qubit[60000] r;", 3, "too_many_qubits"),
        ("creg c [ 100000000 ] ;", 2, "memory_limit"),
        ("bit [100000000] c;", 3, "memory_limit"),
        (hostile.in_parentheses(401, version=3), 3, "qasm_unsupported"),
        (hostile.in_parentheses(401, version=2), 2, None),
        (hostile.doubling_gates(60, version=3), 3, "qasm_unsupported"),
        (hostile.doubling_gates(10, version=3), 3, None),
        ("qubit[100000] q; bit[100000] c;", 3, None),
        ("qubit[some_constant_with_a_long_name] q;", 3, None),
        ("int[1000000000] i; qubit q;", 3, None),
        ("gate g(a) q { rx(a) q; } gate h2 q { ctrl(2) @ g(1) q; inv @ g(2) q; }", 3, None),
    ],
)
def test_what_a_text_declares_is_added_up(code, version, refused):
    """Only what certainly cannot be held is refused."""
    error = extent.refusal(code, version, extent.limits(1000))
    assert (error.code if error else None) == refused


@pytest.mark.parametrize(
    "code", ["gate a " * 150_000, "gate a {" * 120_000, "{" * 10**6, "x " * 500_000, "@" * 10**6]
)
def test_reading_a_text_takes_time_in_proportion_to_its_length(code):
    """A megabyte of anything is through in less than a few seconds."""
    started = time.process_time()
    extent.refusal(code, 3, extent.limits(1000))
    assert time.process_time() - started < 3


def test_modifiers_do_not_hide_what_is_called():
    """`ctrl @ g` counts as `g` does."""
    code = hostile.doubling_gates(60, version=3).replace("{ g", "{ inv @ pow(2) @ g")
    assert extent.refusal(code, 3, extent.limits(1000))


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0.0, "0 bytes"),
        (1023.0, "1023 bytes"),
        (256.0 * MIB, "256 MiB"),
        (1.5 * 1024 * MIB, "1.5 GiB"),
        (2.0**44, "16 TiB"),
        (float("inf"), "more than there can be"),
    ],
)
def test_sizes_are_told_in_units_people_use(size, text):
    """Binary units, one digit after the point where there is one."""
    assert refusals.size_text(size) == text


def test_an_error_without_a_known_need_still_says_the_limit():
    """What the executor tells of a sandbox that died for want of memory."""
    error = refusals.out_of_memory(2048)
    assert error.code == "memory_limit"
    assert "2 GiB" in error.message
    assert error.hint
