"""The fast reader: what it reads as the reference importer does, leaves to it, or refuses."""

import pytest
from openqasm3._antlr.qasm3Lexer import qasm3Lexer
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import library
from qiskit.circuit.library import quantum_volume, real_amplitudes
from qiskit.circuit.random import random_circuit
from qiskit.synthesis.qft import synth_qft_full
from qiskit_aer import AerSimulator
from qiskit_qasm3_import.converter import _STDGATES, _escape_qasm2

from qjet_executor.diagnose import CircuitError
from qjet_executor.genuine import genuine, is_genuine
from qjet_executor.qasm3 import read
from qjet_executor.qasm3.declarations import register_name
from qjet_executor.qasm3.gates import STDGATES
from qjet_executor.qasm3.importer import load
from qjet_executor.qasm3.tokens import KEYWORDS
from tests.support.reading import MOST, MOST_OPERATIONS, description

pytestmark = [
    pytest.mark.unit,
    pytest.mark.filterwarnings("ignore:.*argument ``annotated`` is deprecated"),
]

START = (
    'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[4] q;\nqubit a;\nbit[4] c;\nbit d;\nbit[1] e;\n'
)
DOUBLING = "gate g0 a { h a; }" + "".join(
    f"gate g{n + 1} a {{ g{n} a; g{n} a; }}" for n in range(40)
)


def fast(source):
    return read(source, MOST)


@pytest.mark.parametrize(
    "statements",
    [
        "",
        "h q[0]; cx q[0], q[1]; id a; CX q[0],a; U(1, 2, 3) a; cu(1, 2, 3, 4) q[2], q[3];",
        "h q; cx q, a; cx q[0:1], q[2:3]; cx a, q; ccx q[0], q[1], q[2:3];",
        "x q[-1]; x q[{0, 2}]; x q[0:2:3]; x q[:]; x q[1:]; x q[:2]; x q[3:-1:1]; x q[1:3][0];",
        "rx(1/2) a; rx(3/2.) a; rx(-pi/4*2+1e-3) a; ry(2*(3-tau)) a; rz(-(-(1))) a; rz(--1) a;",
        "p(0x1F) a; p(0b11_01) a; p(0o17) a; u3(.5, 1., 1_0.5e-1_0) a; u2(π, -ℇ) a; phase(τ) a;",
        "rx /* a */ ( // b\n pi ) /* c */ q [ 0 ] // d\n ;",
        "gphase(0.3); gphase(7); gphase(-1.5);",
        "inv @ s a; inv @ rx(0.3) a; pow(2) @ s a; pow(-1) @ t a; pow(0.5) @ x a; inv @ inv @ t a;",
        "ctrl @ x a, q[0]; negctrl @ x a, q; ctrl(2) @ h a, q[0], q[1];",
        "ctrl @ U(0.1, 0.2, 0.3) a, q[0]; ctrl(2) @ negctrl @ z q[0], q[1], q[2], q[3];",
        "c = measure q; measure q -> c; c[0] = measure a; measure a -> d; d = measure q[3];",
        "c[0:1] = measure q[1:2]; c[{3, 0}] = measure q[{0, 1}]; e = measure a; c[-1] = measure a;",
        "reset q; reset a; reset q[1:2]; barrier; barrier q, a; barrier q[0], q[0]; barrier a;",
        "if (c == 1) { x a; } else { y a; } if (c == 0b11) x a; else z a; if (c == 2 * 3) { }",
        "if (d) x a; if (!d) { x a; } if (~c[0]) { y a; } if (c[1] == true) x a; if (e[0]) x a;",
        "if (c[1] == false) x a; if (c[1] != true) x a; if (d != false) { x a; } else { }",
        "if (c == 1) x a; else if (d) y q[1]; else if (c[2]) { z q[0]; c = measure q; } else { }",
        "while (c[0]) { c[0] = measure q[0]; if (c[1]) { reset q; barrier q, a; gphase(1); } }",
        "gate w x, y { h x; cx x, y; barrier x, y; } w q[0], a; w q, a; if (d) { w q[0], q[1]; }",
        "gate none x, y { } none q[0], a; if (d) { none a, q[2]; }",
        "gate r(t, f) x { U(t, f - pi/2, -f + pi/2) x; rz(t*2/3 - f*0.1) x; } r(0.1, 0.7) q;",
        "gate r(a) x { rz(a/3) x; } gate s2(b) x { r(b*0.7) x; r(-b) x; } s2(0.3) a; s2(1) q[0];",
        "gate v(t) x, y { ctrl @ rz(t/3) x, y; inv @ p(t) y; pow(2) @ rx(t) x; } v(0.3) q[0], a;",
        "gate v(t) x { h x; gphase(t); } ctrl @ v(0.2) a, q[0]; inv @ v(0.2) a; v(0.2) a;",
        "gate v(t, u) x { h x; } ctrl @ v(0.2, 1) a, q[0];",
        "gate k x { gphase(1); } ctrl @ k a, q[0]; k a; inv @ k a;",
        (
            "gate v x, y { cx x, y; t y; } gate z2 x, y { v x, y; inv @ v y, x; pow(2) @ v x, y; } "
            "z2 a, q[0]; negctrl @ z2 q[1], a, q[0];"
        ),
        "gate g(pi, t, x) tau, h { rx(x - pi) h; p(t) tau; } g(0.1, 0.2, 0.3) a, q[0]; h q;",
        "gate θ2(θ, λ) ψ { rx(θ + λ) ψ; } θ2(1.0, 2.0) a;",
        "bit[2] Out = measure q[0:1]; bit b = measure a; qubit[2] Q; qreg r[2]; creg s1[2];",
        "bit z1; creg t1[1+1]; creg u; qreg v; qubit[2*2] w; measure w -> c;",
    ],
)
def test_it_reads_what_the_importer_reads(statements):
    """The same registers, operations, angles, bits and phase."""
    source = START + statements
    circuit = fast(source)
    assert circuit is not None
    assert description(circuit) == description(load(source))


@pytest.mark.parametrize(
    "source",
    [
        "qubit q; bit b; b = measure q;",
        "qubit[2] q; U(0, 0, 0) q;",
        "/* a */ OPENQASM 3; // b\nqubit q;",
        "OPENQASM\n3.1\n;\r\nqubit q;\r\n",
        "include 'stdgates.inc'; qubit q; x q; // no line end",
        "gate h a { U(pi/2, 0, pi) a; } qubit q; h q;",
        "OPENQASM 3; include 'stdgates.inc';",
        "bit b;",
    ],
)
def test_versions_and_includes_are_optional(source):
    """Gates that only the include defines may be defined by the program."""
    assert description(fast(source)) == description(load(source))


def circuits():
    """Yield circuits of many kinds, each as a name and a circuit."""
    for seed in range(12):
        conditional = seed % 3 == 0
        yield (
            f"random {seed}",
            random_circuit(4, 6, measure=True, seed=seed, conditional=conditional),
        )
    yield "qft", synth_qft_full(6)
    yield "qft as a gate", _as_gate(synth_qft_full(5))
    yield "volume", quantum_volume(4, seed=1)
    yield "ansatz", real_amplitudes(4).assign_parameters([k / 7 for k in range(16)])
    for name in ("CX", "CCX", "CRZ", "CPhase", "CU", "C3X", "CSwap", "CH"):
        yield f"{name} on zeros", _with_control_state(name)
    for gate in library.standard_gates.get_standard_gate_name_mapping().values():
        if gate.num_clbits == 0 and gate.name not in {"delay", "reset", "global_phase"}:
            yield gate.name, _alone(gate)
    yield "conditions", _conditions()


def _alone(gate):
    circuit = QuantumCircuit(gate.num_qubits)
    values = [0.1 * (k + 1) for k in range(len(gate.params))]
    circuit.append(type(gate)(*values) if values else gate, range(gate.num_qubits))
    return circuit


def _as_gate(circuit):
    outer = QuantumCircuit(circuit.num_qubits)
    outer.append(circuit.to_gate(), range(circuit.num_qubits))
    return _nested(outer)


def _nested(circuit):
    outer = QuantumCircuit(circuit.num_qubits, global_phase=0.3)
    outer.append(circuit.to_gate(), reversed(range(circuit.num_qubits)))
    outer.append(circuit.to_gate().inverse(), range(circuit.num_qubits))
    return outer


def _with_control_state(name):
    gate = getattr(library, f"{name}Gate")
    count = {"CRZ": 1, "CPhase": 1, "CU": 4}.get(name, 0)
    made = gate(*[0.3, 0.2, 0.1, 0.7][:count], ctrl_state=0)
    circuit = QuantumCircuit(made.num_qubits)
    circuit.append(made, range(made.num_qubits))
    return circuit


def _conditions():
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as else_:
        circuit.rzz(0.3, 0, 1)
        with circuit.if_test((circuit.cregs[0], 2)):
            circuit.reset(1)
    with else_:
        circuit.x(1)
    circuit.measure(1, 1)
    return circuit


CIRCUITS = dict(circuits())


@pytest.mark.parametrize("name", CIRCUITS)
def test_it_reads_what_qiskit_writes(name):
    """Exported circuits of every kind become what the importer makes of them."""
    circuit = CIRCUITS[name]
    if not circuit.num_clbits:
        circuit.measure_all()
    source = qasm3.dumps(circuit)
    read_back = fast(source)
    assert read_back is not None
    assert description(read_back) == description(load(source))


@pytest.mark.parametrize("name", ["random 1", "random 2", "qft as a gate", "volume", "conditions"])
def test_seeded_counts_are_those_of_the_importers_circuit(name):
    """Bit for bit."""
    circuit = CIRCUITS[name]
    if not circuit.num_clbits:
        circuit.measure_all()
    source = qasm3.dumps(circuit)
    aer = AerSimulator(max_parallel_threads=1)
    counts = [
        aer.run(genuine(made, MOST_OPERATIONS), shots=200, seed_simulator=7).result().get_counts()
        for made in (fast(source), load(source))
    ]
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) == 200


@pytest.mark.parametrize(
    "statements",
    [
        "rx(sin(1)) a;",
        "rx(2**3) a;",
        "const int n = 2;",
        "let b = q[0:1];",
        "input float t;",
        "for int i in [0:1] { x a; }",
        "def f(qubit b) { }",
        "box { x a; }",
        "delay[100ns] a;",
        "x $0;",
        "if (c[0:1] == 1) { x a; }",
        "if (c == 16) { x a; }",
        "if (d && e[0]) { x a; }",
        "switch (c) { case 0 { x a; } }",
        "bit f = 1;",
        "pragma a\n",
        "@note a\nx a;",
        "ctrl @x a, q[0];",
        "ctrl @ gphase(1) a;",
        "measure q;",
        "x q[2:1];",
        "x a",
        "x a;;",
        "x() a; x (a);",
        "rx(1.5.2) a;",
        "rx(2pi) a;",
        "rx(1ns) a;",
        "rx(0.1 0.2) a;",
        "rx(0.1,) a;",
        "rx(1/0) a;",
        "rx(٣) a;",
        "rx(1 // ) a;\n",
        "x été;",
        "include /**/ 'stdgates.inc';",
        "include 'stdgates.inc';",
        "qubit x;",
        "qubit q;",
        "qubit pi;",
        "qubit if;",
        "qubit[0] z;",
        "qubit[-1] z;",
        "gate g(t) x { rx(t + 1) x; }",
        "gate g(t, t) x { }",
        "gate g x { c[0] = measure x; }",
        "gate g x { x[0] x; }",
        "gate g(t) b, b2, b3 { ctrl(2) @ ry(t) b, b2, b3; }",
        "cx q[0], q[0];",
        "cx q[0:1], q[0:2];",
        "cx q, q[{0, 1, 2}];",
        f"rx({'(' * 60}1{')' * 60}) a;",
        f"rx({'-' * 60}1) a;",
        "if (d) " * 30 + "x a;",
        "if (d) { qubit z; }",
        "gate g x { x x; }",
        "gate g pi { rx(pi) pi; }",
        "/* not closed",
        "OPENQASM 3.0;",
        "\x00",
    ],
)
def test_it_leaves_the_rest_to_the_importer(statements):
    """Other constructs, errors without a plain reason, and whatever is in doubt."""
    assert fast(START + statements) is None


@pytest.mark.parametrize("source", ["", " \n // nothing\n", "OPENQASM 3.0;", "OPENQASM;", "hello"])
def test_it_reads_nothing_out_of_nothing(source):
    """No program: no circuit."""
    assert fast(source) is None


@pytest.mark.parametrize(
    ("statements", "where", "says"),
    [
        ("foo a;", (9, 1), "gate 'foo' is not defined"),
        ("x a; ctrl @ foo(1) a, q[0];", (9, 13), "gate 'foo' is not defined"),
        ("gate g b { x b;\n  foo b; }", (10, 3), "gate 'foo' is not defined"),
        ("x b;", (9, 3), "Undefined symbol 'b'"),
        ("cx a, λ;", (9, 7), "Undefined symbol 'λ'"),
        ("c = measure r;", (9, 13), "Undefined symbol 'r'"),
        ("measure q -> m;", (9, 14), "Undefined symbol 'm'"),
        ("if (m) x a;", (9, 5), "Undefined symbol 'm'"),
        ("x a;\n\n\tx q[4];", (11, 6), "out of range: q has 4"),
        ("x q[{0, -5}];", (9, 5), "out of range: q has 4"),
        ("c[7] = measure a;", (9, 3), "out of range: c has 4"),
        ("rx a;", (9, 1), "Gate 'rx': wrong number of parameters, 0 instead of 1"),
        ("inv @ rx(1, 2) a;", (9, 7), "Gate 'rx': wrong number of parameters, 2 instead of 1"),
        ("cx a;", (9, 1), "Gate 'cx': wrong number of qubits, 1 instead of 2"),
        ("ctrl @ cx a, q[0];", (9, 8), "Gate 'cx': wrong number of qubits, 2 instead of 3"),
        (
            "ctrl(1000000) @ x a, q[0];",
            (9, 17),
            "Gate 'x': wrong number of qubits, 2 instead of 1000001",
        ),
        ("gate g(t) b, e { } g(1) a;", (9, 20), "Gate 'g': wrong number of qubits, 1 instead of 2"),
    ],
)
def test_what_is_plainly_wrong_is_refused_where_it_stands(statements, where, says):
    """With its line and column, and the importer refuses it too."""
    source = START + "\n" + statements
    with pytest.raises(CircuitError, match=says) as caught:
        fast(source)
    assert (caught.value.error.line, caught.value.error.column) == where
    assert caught.value.error.code == "qasm_syntax"
    with pytest.raises(Exception):  # noqa: B017, PT011  # it raises all kinds
        load(source)


@pytest.mark.parametrize(
    "source",
    [
        START + DOUBLING,
        START + DOUBLING + "g40 a;",
        START + DOUBLING + "inv @ g40 a;",
        START + "qubit[60000] w; x w; h w;",
        START + "gate g x { " + "h x; " * 2000 + "} " + "g q; " * 20,
        START + "gate g x { " + "h x; " * 2000 + "} " + "inv @ g q; " * 20,
    ],
)
def test_what_expands_too_far_is_refused_before_it_is_made(source):
    """Definitions that double each other, and few statements that apply to many qubits."""
    with pytest.raises(CircuitError, match=f"more than {MOST_OPERATIONS:,} operations"):
        fast(source)


@pytest.mark.parametrize("angle", ["1e999", "-1e999", "2*1e308", "1e999-1e999", "pi*1e308*1e9"])
def test_an_angle_beyond_all_numbers_is_refused_where_it_stands(angle):
    """Gates of no finite angle would run, and give nonsense."""
    with pytest.raises(CircuitError, match="no finite number") as caught:
        fast(f"{START}\nu2(0.5, {angle}) a;")
    error = caught.value.error
    assert (error.code, error.line, error.column) == ("qasm_unsupported", 9, 9)


@pytest.mark.parametrize(
    ("statements", "code", "counted"),
    [
        ("qubit[1000*1000] w;", "too_many_qubits", "1,000,005"),
        ("qreg w[0xFFFFF];", "too_many_qubits", "1,048,580"),
        ("qubit[60000] v; qubit[60000] w;", "too_many_qubits", "120,005"),
        ("bit[1000*1000] w;", "memory_limit", "1,000,006"),
        ("creg w[100000];", "memory_limit", "100,006"),
    ],
)
def test_sizes_are_counted_before_anything_is_made(statements, code, counted):
    """All that is declared so far, also where a size is an expression."""
    with pytest.raises(CircuitError, match=counted) as caught:
        fast(START + statements)
    assert caught.value.error.code == code


def operations(circuit):
    """List the operations of a circuit and of its blocks."""
    for instruction in circuit.data:
        blocks = getattr(instruction.operation, "blocks", ())
        yield from [op for block in blocks for op in operations(block)] or [instruction.operation]


@pytest.mark.parametrize(
    "statements",
    [
        "ctrl @ g a, q[0];",
        "pow(0.5) @ x a;",
        "negctrl @ x a, q[0];",
        "if (d) { g a; }",
        "gate k y, x { ctrl @ g y, x; } k a, q[0];",
        "barrier q; reset a; g q;",
    ],
)
def test_the_circuit_holds_nothing_but_qiskits_own_operations(statements):
    """Also where a definition is modified or stands in a block; all bits are in registers."""
    circuit = fast(f"{START}gate g x {{ h x; t x; }} {statements}")
    assert circuit is not None
    assert all(map(is_genuine, operations(circuit)))
    assert [register.name for register in circuit.cregs] == ["c", "bit_4", "e"]


def test_a_gates_arguments_go_to_its_parameters_by_position():
    """Also where their names are not in alphabetical order."""
    circuit = fast(START + "gate g(t, a, b) x { U(b, t, a) x; } g(0.1, 0.2, 0.3) q[0];")
    assert circuit.data[0].operation.params == [0.3, 0.1, 0.2]


def test_the_standard_gates_are_the_importers():
    """Their names, and what each takes."""
    ours = {name: (gate.num_parameters, gate.num_qubits) for name, gate in STDGATES.items()}
    assert ours == {name: (takes, on) for name, (_, takes, on) in _STDGATES.items()}
    for name, (make, takes, _) in _STDGATES.items():
        values = tuple(0.1 * (k + 1) for k in range(takes))
        assert STDGATES[name].operation(values) == make(*values)


def test_the_keywords_are_the_lexers():
    """And the three that it does not list as plain words."""
    literals = {text.strip("'") for text in qasm3Lexer.literalNames}
    words = {text for text in literals if text.isidentifier()}
    assert words | {"pragma", "true", "false"} == KEYWORDS


@pytest.mark.parametrize("name", ["q", "Q", "_q", "q1", "θ", "aθ", "qB", "π_1"])
def test_registers_are_named_as_the_importer_names_them(name):
    """Qiskit's registers once had to have OpenQASM 2 names."""
    assert register_name(name) == _escape_qasm2(name)
