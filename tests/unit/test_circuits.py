"""From OpenQASM to a circuit: versions told apart, includes refused, errors placed."""

import pytest

from qjet_executor.circuits import read_circuit
from qjet_executor.diagnose import CircuitError, from_aer
from qjet_executor.protocol import Room

pytestmark = pytest.mark.unit

START_3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\n'
START_2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\n'
END_3 = "c = measure q;\n"
END_2 = "measure q -> c;\n"
BODY_3 = "qubit q; bit c; c = measure q;"
BODY_2 = "qreg q[1]; creg c[1]; measure q -> c;"


def error_of(source):
    with pytest.raises(CircuitError) as caught:
        read_circuit(source)
    error = caught.value.error
    assert error.message
    return error


def place(error):
    return error.line, error.column


@pytest.mark.parametrize(
    "source",
    [
        BODY_3,
        f"OPENQASM 3;{BODY_3}",
        f"OPENQASM 3.0;{BODY_3}",
        f"OPENQASM 3.1;{BODY_3}",
        f"OPENQASM  3 ;{BODY_3}",
        f"\n\n  OPENQASM 3;{BODY_3}",
        f"OPENQASM\n3.0\n;{BODY_3}",
        f"// OPENQASM 2.0;\nOPENQASM 3;{BODY_3}",
        f"/* OPENQASM 2.0; */ OPENQASM 3.0;{BODY_3}",
        f"/* two\nlines */\n// and one\nOPENQASM 3.0;{BODY_3}",
        f"// OPENQASM 2.0;\n{BODY_3}",
        f"OPENQASM 3;\r\n{BODY_3}\r\n",
        f"OPENQASM 2.0;{BODY_2}",
        f"OPENQASM 2;{BODY_2}",
        f"// OPENQASM 3;\nOPENQASM 2.0;{BODY_2}",
        f"\n // é\n\nOPENQASM 2.0;\r\n{BODY_2}",
    ],
)
def test_the_version_line_decides_and_comments_do_not(source):
    """OpenQASM 3 without a version line or with it, OpenQASM 2 only with it."""
    circuit = read_circuit(source)
    assert circuit.count_ops() == {"measure": 1}


@pytest.mark.parametrize(
    ("source", "named", "where"),
    [
        ("OPENQASM 1.0;\nqreg q[1];", "OpenQASM 1.0", (1, 10)),
        ("OPENQASM 4;\n", "OpenQASM 4", (1, 10)),
        ("// new\n\n  OPENQASM 4.2;\n", "OpenQASM 4.2", (3, 12)),
        ("/* a\nb */ OPENQASM 10.0;", "OpenQASM 10.0", (2, 15)),
        ("OPENQASM 0.9;", "OpenQASM 0.9", (1, 10)),
    ],
)
def test_other_versions_are_refused_where_they_stand(source, named, where):
    """The version is named, with its line and column."""
    error = error_of(source)
    assert error.code == "qasm_unsupported"
    assert named in error.message
    assert place(error) == where


def test_openqasm_2_1_is_refused_in_words():
    """There is no such version; the text says which one was given."""
    error = error_of(f"OPENQASM 2.1;{BODY_2}")
    assert "2.1" in error.message
    assert error.line == 1


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.inc"
    path.write_text("s3cr3t-token gate h a { }\n")
    return path


INCLUDES = [
    'include "{path}";',
    "include '{path}';",
    'include"{path}";',
    'include\n"{path}"\n;',
    'include\t "{path}" ;',
    'include /* a */ "{path}";',
    'include // a\n"{path}";',
    'include /* "stdgates.inc"; */ "{path}";',
    'include "/{path}";',
    'include "//{path}";',
    'include "{path}"; // "',
    '/* */ include "{path}"; /* */',
]


@pytest.mark.parametrize(("start", "end"), [(START_3, END_3), (START_2, END_2)], ids=["3", "2"])
@pytest.mark.parametrize("include", INCLUDES)
def test_an_included_file_is_never_read(secret, include, start, end):
    """However it is spelled: a typed error, and nothing of the file's content in it."""
    error = error_of(start + include.format(path=secret) + "\n" + end)
    assert error.code in {"qasm_unsupported", "qasm_syntax"}
    assert "s3cr3t" not in error.message
    assert error.line is not None


@pytest.mark.parametrize(("start", "version"), [(START_3, 3), (START_2, 2)])
@pytest.mark.parametrize("path", ["/etc/passwd", "/etc//passwd", "other.inc", "../x", ""])
def test_a_foreign_include_is_refused_where_it_stands(start, version, path):
    """Same words in both versions: which file, where, and which one may be included."""
    error = error_of(f'{start}h q[0]; include "{path}";\n')
    assert error.code == "qasm_unsupported"
    assert path in error.message
    assert place(error) == (5, 9)
    assert {3: "stdgates.inc", 2: "qelib1.inc"}[version] in error.hint


@pytest.mark.parametrize(
    "source",
    [
        START_3 + '// include "/etc/passwd";\n' + END_3,
        START_3 + '/* include "/etc/passwd";\n include "x"; */\n' + END_3,
        START_2 + '// include "/etc/passwd";\n' + END_2,
        START_2 + "// OPENQASM 3.0; include 'x';\n" + END_2,
        START_3 + "// \" ' /* unfinished\n" + END_3,
    ],
)
def test_what_stands_in_comments_does_not_count(source):
    """Neither includes nor version lines nor quotes."""
    assert read_circuit(source).num_clbits == 2


@pytest.mark.parametrize(
    ("source", "where", "says"),
    [
        (START_3 + "foo q[0];\n" + END_3, (5, 1), "foo"),
        (START_3 + "h q[0]; foo q[0];\n" + END_3, (5, 9), "foo"),
        (START_3 + "\tfoo q[0];\n" + END_3, (5, 2), "foo"),
        (START_3 + "/* é中😀 */ foo q[0];\n" + END_3, (5, 11), "foo"),
        (START_3.replace("\n", "\r\n") + "foo q[0];\r\n" + END_3, (5, 1), "foo"),
        (START_3 + "gate g a { foo a; }\n" + END_3, (5, 12), "foo"),
        (START_2 + "foo q[0];\n" + END_2, (5, 1), "foo"),
        (START_2 + "h q[0]; foo q[0];\n" + END_2, (5, 9), "foo"),
        (START_3 + "h r[0];\n" + END_3, (5, 3), "r"),
        (START_3 + "if (d) { h q[0]; }\n" + END_3, (5, 5), "d"),
        (START_3 + "cx q[0], r[1]; h r[0];\n" + END_3, (5, 10), "r"),
        (START_3 + "c[0] = measure r[0];\n" + END_3, (5, 16), "r"),
        (START_2 + "h r[0];\n" + END_2, (5, 3), "r"),
        (START_2 + "h q[5];\n" + END_2, (5, 5), "5"),
        (START_3 + "h q[0]\n" + END_3, (6, 1), "c"),
        (START_2 + "h q[0]\n" + END_2, (6, 1), "measure"),
        (START_3 + "h q[0]; ¤\n" + END_3, (5, 9), "¤"),
        (START_2 + "h q[0]; ¤\n" + END_2, (5, 9), "non-ASCII"),
        (START_3 + "h q[0]", (5, 7), "end"),
        (START_3 + "if (c[0]) {\nh q[0];\n", (7, 1), "end"),
        (START_3 + "\x00" + END_3, (5, 1), "token"),
        ('{"qc": 1}', (1, 2), "token"),
        ('print("x")\n', (1, 7), "token"),
    ],
)
def test_an_error_is_placed_at_its_token(source, where, says):
    """Line and column count from 1, in characters, and the text names the culprit."""
    error = error_of(source)
    assert error.code == "qasm_syntax"
    assert place(error) == where
    assert says in error.message


@pytest.mark.parametrize(
    ("start", "end"), [(START_3, END_3), (START_2, END_2)], ids=["openqasm 3", "openqasm 2"]
)
def test_a_syntax_error_on_line_7_says_line_7(start, end):
    """Both parsers count alike."""
    error = error_of(start + "h q[0];\nh q[1];\nh q[[;\n" + end)
    assert place(error) == (7, 5)


@pytest.mark.parametrize("line", range(5, 12))
def test_comments_before_an_error_do_not_move_it(line):
    """Comments of any shape, also over several lines, keep their lines."""
    comments = {5: "", 6: "// a\n", 7: "/* a\n*/\n", 8: "/*\n\n*/\n"}
    padding = comments.get(line, "\n" * (line - 5))
    assert error_of(START_3 + padding + "foo q;\n" + END_3).line == line


@pytest.mark.parametrize("source", ["", " ", "\n\n", "// nothing\n", "/* nothing */", "\t// a"])
def test_an_empty_program_is_said_to_be_empty(source):
    """White space and comments are no program."""
    error = error_of(source)
    assert error.code == "qasm_syntax"
    assert "empty" in error.message


@pytest.mark.parametrize(
    "source",
    [
        START_3 + "h q[0];",
        START_3,
        START_2 + "h q[0];",
        START_3 + "if (c[0]) { h q[0]; }",
        "OPENQASM 3; bit c;",
        "OPENQASM 3;",
        START_3 + "// c = measure q;",
    ],
)
def test_a_circuit_without_measurement_is_refused_with_a_hint(source):
    """There would be nothing to count."""
    error = error_of(source)
    assert error.code == "no_measurements"
    assert "measure" in error.hint


@pytest.mark.parametrize(
    "statement",
    [
        "if (c[0]) { c[1] = measure q[0]; }",
        "if (c[0]) { h q[0]; } else { c[1] = measure q[0]; }",
        "if (c[0]) { if (c[1]) { c[1] = measure q[0]; } }",
        "while (c[0]) { c[0] = measure q[0]; }",
        "for int i in [0:1] { c[0] = measure q[0]; }",
    ],
)
def test_a_measurement_inside_a_block_counts(statement):
    """If, else, while and for are looked into."""
    assert read_circuit(START_3 + statement).num_clbits == 2


@pytest.mark.parametrize(
    ("declared", "registers"),
    [
        ("bit[0] e; bit d;", ["c", "e", "bit_2"]),
        ("bit d; bit[0] e; bit[1] f;", ["c", "e", "bit_2", "f"]),
        ("bit[0] e; bit[0] f;", ["c", "e", "f"]),
    ],
)
def test_a_register_without_bits_is_kept_beside_loose_bits(declared, registers):
    """Qiskit prints it as nothing between two spaces."""
    circuit = read_circuit(f"{START_3}{declared}\n{END_3}")
    assert [register.name for register in circuit.cregs] == registers


def test_300_nested_parentheses_are_refused_or_read():
    """OpenQASM 3: no crash, and the text says why; OpenQASM 2: read."""
    expression = "(" * 300 + "pi" + ")" * 300
    try:
        read_circuit(f"{START_3}rx({expression}) q[0];\n{END_3}")
    except CircuitError as exc:
        assert exc.error.code == "qasm_unsupported"  # either is right
        assert "nested" in exc.error.message
    assert read_circuit(f"{START_2}rx({expression}) q[0];\n{END_2}").count_ops()["rx"] == 1


@pytest.mark.parametrize(
    "statement",
    [
        "const int n = 3;",
        "def f(qubit a) { h a; }",
        "int n = 3;",
        "uint n = 3;",
        "output bit d;",
        'bit[2] d = "00";',
        "rx(sin(1.0)) q[0];",
        "if (c[0] && c[1]) { h q[0]; }",
        "switch (c) { case 0 { h q[0]; } }",
        "stretch a;",
        "c[0] = c[1];",
    ],
)
def test_valid_openqasm_that_cannot_be_read_yet_is_called_unsupported(statement):
    """It is not the user's mistake, and the place is named."""
    error = error_of(f"{START_3}{statement}\n{END_3}")
    assert error.code == "qasm_unsupported"
    assert error.line == 5


def test_a_loop_over_qubits_is_called_unsupported():
    """The importer has no words for it; the hint has."""
    error = error_of(f"{START_3}for int i in [0:1] {{ h q[i]; }}\n{END_3}")
    assert error.code == "qasm_unsupported"
    assert "Loops over qubits" in error.hint


@pytest.mark.parametrize(
    "statement",
    [
        "h q[5];",
        "cx q[0], q[0];",
        "h q[0], q[1];",
        "rx q[0];",
        "rx(1, 2) q[0];",
        "rx(1/0) q[0];",
        "qubit[2] q;",
        "bit[3] d; d = measure q;",
    ],
)
def test_mistakes_in_valid_looking_statements_are_placed(statement):
    """An index out of range or a wrong number of arguments is the program's fault, on line 5."""
    error = error_of(f"{START_3}{statement}\n{END_3}")
    assert error.code == "qasm_syntax"
    assert error.line == 5


@pytest.mark.parametrize(
    "statement",
    ["h q[5];", "cx q[0], q[0];", "h q[0], q[1];", "rx q[0];", "rx(1/0) q[0];", "qreg q[2];"],
)
def test_the_same_mistakes_in_openqasm_2_are_placed(statement):
    """As above, by the other parser."""
    error = error_of(f"{START_2}{statement}\n{END_2}")
    assert error.code == "qasm_syntax"
    assert error.line == 5


@pytest.mark.parametrize(
    ("statement", "code", "says"),
    [
        ("h q[0.5:1];", "qasm_unsupported", "cannot read this statement"),
        ("for int i in [0:0.5] {}", "qasm_unsupported", "cannot read this statement"),
        ("for int i in [0:1] { rx q[0]; }", "qasm_syntax", "number or kind of arguments"),
        ("for int i in [0:1] { rx(1, 2) q[0]; }", "qasm_syntax", "number or kind of arguments"),
    ],
)
def test_what_the_importer_trips_over_is_said_without_its_insides(statement, code, says):
    """The error speaks of the statement rather than of attributes and `__init__`."""
    error = error_of(f"{START_3}{statement}\n{END_3}")
    assert (error.code, error.line) == (code, 5)
    assert says in error.message


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("cx q[0], q[0];", "same qubit twice"),
        ("gate g a, b { cx a, b; } g q, q[0];", "same qubit twice"),
        ("cx q[0:1], q[0:0];", "different sizes"),
        ("bit[3] d = measure q;", "As many bits as qubits"),
        ("measure q;", "go into a bit"),
        ("qubit q;", "'q' is declared twice"),
        ("creg c[2];", "'c' is declared twice"),
        ("h [0];", "can be read"),
    ],
)
def test_the_importers_words_are_made_plain(statement, says):
    """No symbol tables, nodes and broadcasts."""
    error = error_of(f"{START_3}{statement}\n{END_3}")
    assert says in error.message
    assert error.line == 5


def test_a_single_equals_sign_in_openqasm_2_is_placed():
    """`if(c=1)` is a common slip; the parser itself does not say where it is."""
    error = error_of(f"{START_2}if(c=1) x q[0];\n{END_2}")
    assert "=" in error.message
    assert error.line == 5


def test_a_number_too_large_for_the_openqasm_2_parser_is_an_error_like_others():
    """Its parser panics, with what is no `Exception`; the sandbox should live on."""
    error = error_of(START_2 + "x q[99999999999999999999];\n" + END_2)
    assert error.code == "qasm_syntax"


@pytest.mark.parametrize("start", ["\ufeff", "\ufeff// from Windows\n"])
@pytest.mark.parametrize("program", [START_3 + END_3, START_2 + END_2])
def test_a_byte_order_mark_is_no_part_of_the_program(start, program):
    """Editors on Windows put one in front; OpenQASM has no use for it."""
    assert read_circuit(start + program).num_clbits == 2


def test_openqasm_2_without_its_version_line_is_told_so():
    """Read as OpenQASM 3 it fails; the hint names the line that is missing."""
    error = error_of(START_2.removeprefix("OPENQASM 2.0;\n") + END_2)
    assert "OPENQASM 2" in (error.hint or "")


def test_an_error_never_shows_pages_of_the_program():
    """A long token is cut."""
    error = error_of(START_3 + "h" * 100_000 + " q[0];\n" + END_3)
    assert len(error.message) <= 400


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (
            "ERROR: Insufficient memory. Required memory: 16777216M, max memory: 1000M",
            "too_many_qubits",
            "40 qubits need 16 TiB of memory",
        ),
        (
            'ERROR: Circuit c contains invalid instructions {"gates": {t, rx}} for "stabilizer".',
            "invalid_option",
            "t, rx",
        ),
        ("ERROR: something else", "simulation_failed", "something else"),
        ("ERROR: ", "simulation_failed", "no reason"),
        ("", "simulation_failed", "no reason"),
    ],
)
def test_aers_status_becomes_a_typed_error(status, code, says):
    """Memory and gates are told apart from the rest."""
    room = Room(memory_mb=100, most_mb=100, threads=1)
    error = from_aer(status, "stabilizer", qubits=40, room=room, fitting=[]).error
    assert error.code == code
    assert says in error.message
