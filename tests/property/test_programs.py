"""Programs that hypothesis makes: read or refused with a type, and counted as Aer counts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import qasm2
from qiskit_aer import AerSimulator

from qjet_executor.circuits import read_circuit
from qjet_executor.diagnose import CircuitError
from qjet_executor.protocol import Job
from qjet_executor.simulate import Simulators

pytestmark = pytest.mark.property

SIMULATORS = None
WORDS = st.sampled_from(
    [
        "OPENQASM",
        "3.0",
        "2.0",
        ";",
        "include",
        '"stdgates.inc"',
        '"qelib1.inc"',
        "qubit",
        "qreg",
        "[2]",
        "q",
        "bit",
        "creg",
        "c",
        "gate",
        "g",
        "a",
        "h",
        "q[0]",
        "cx",
        ",",
        "(",
        ")",
        "pi",
        "/",
        "2",
        "{",
        "}",
        "if",
        "c[0]",
        "==",
        "1",
        "measure",
        "->",
        "=",
        "//",
        "/*",
        "*/",
        "'",
        '"',
        "\n",
        "\t",
        "é",
        "ctrl",
        "@",
        "U",
        "while",
        "for",
        "input",
        "float",
        "reset",
        "barrier",
        "1e9",
        "0x",
        "$0",
        "#",
        "pragma",
        "box",
        "delay",
        "[",
        "]",
        "in",
        "int",
        ":",
        "let",
        "def",
    ]
)
PROGRAMS = st.lists(WORDS, max_size=25).map(" ".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=60
)
VALID = {
    3: 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nh q[0];\n'
    "if (c[0]) {\n  rx(pi/2) q[1];\n}\nc = measure q;\n",
    2: 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\nh q[0];\n'
    "if (c==1) rx(pi/2) q[1];\nmeasure q -> c;\n",
}


def check(source):
    try:
        read_circuit(source)
    except CircuitError as exc:
        error = exc.error
        assert error.message.strip()
        if error.line is not None:
            assert 1 <= error.line <= source.count("\n") + 1
            assert 1 <= error.column <= len(source.split("\n")[error.line - 1]) + 1


@settings(max_examples=150, deadline=None)
@given(PROGRAMS)
def test_any_text_is_a_circuit_or_a_typed_error(source):
    """With a message always, and a line and column that the program has."""
    check(source)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([2, 3]), st.data())
def test_a_slip_in_a_program_is_a_typed_error_with_a_line_and_column_of_the_program(version, data):
    """A character left out, doubled or replaced."""
    source = VALID[version]
    at = data.draw(st.integers(0, len(source) - 1))
    put = data.draw(st.sampled_from(["", source[at] * 2, ";", "(", "0", "é", "x", '"', "\n", " "]))
    check(source[:at] + put + source[at + 1 :])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([2, 3]),
    st.lists(st.sampled_from(["// a\n", "/* b */", "/*\n*/", "\n", " "]), max_size=5),
    st.integers(5, 6),
)
def test_an_error_is_found_on_its_line_whatever_stands_before(version, padding, wanted):
    """Comments and empty lines are counted as they stand."""
    text = "".join(p for p in padding if version == 3 or "/*" not in p)
    lines = VALID[version].splitlines(keepends=True)
    before = "".join(lines[: wanted - 1]) + text
    with pytest.raises(CircuitError) as caught:
        read_circuit(before + "nosuchgate q[0];\n" + "".join(lines[wanted - 1 :]))
    place = (caught.value.error.line, caught.value.error.column)
    assert place == (before.count("\n") + 1, len(before) - before.rfind("\n"))


ONE = st.sampled_from(["h", "x", "s", "t", "sdg", "z"])
QUBIT = st.integers(0, 2)
STATEMENTS = st.one_of(
    st.builds("{} q[{}];".format, ONE, QUBIT),
    st.builds("rx({}) q[{}];".format, st.sampled_from(["pi/4", "0.3", "-1.5"]), QUBIT),
    st.permutations([0, 1, 2]).map(lambda p: f"cx q[{p[0]}],q[{p[1]}];"),
    st.builds("measure q[{}] -> c[{}];".format, QUBIT, QUBIT),
    st.builds("reset q[{}];".format, QUBIT),
    st.builds("if(c=={}) x q[{}];".format, st.integers(0, 7), QUBIT),
    st.just("barrier q;"),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(STATEMENTS, max_size=12),
    st.integers(0, 2**63 - 1),
    st.integers(1, 200),
    st.sampled_from(["automatic", "statevector", "density_matrix", "matrix_product_state"]),
)
def test_counts_of_any_small_circuit_are_aers_own(statements, seed, shots, method):
    """Gates, measurements, resets and conditions in any order, bit for bit."""
    source = (
        'OPENQASM 2.0;include "qelib1.inc";qreg q[3];creg c[3];'
        + "".join(statements)
        + "measure q -> c;"
    )
    job = Job(qc=source, shots=shots, seed=seed, method=method, memory=False)
    outcome = simulators().run(job)
    assert outcome.error is None
    circuit = qasm2.loads(source, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
    aer = AerSimulator(method=method)
    expected = aer.run(circuit, shots=shots, seed_simulator=seed).result().get_counts()
    assert json.loads(outcome.counts) == expected


def simulators():
    """Make them once, and not at import."""
    global SIMULATORS  # noqa: PLW0603  # a fixture would be made anew for each example
    SIMULATORS = SIMULATORS or Simulators(max_memory_mb=1000, max_threads=1)
    return SIMULATORS
