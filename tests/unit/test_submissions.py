"""From bytes to a submission: every way to get it wrong, and what the sender is told."""

import msgspec
import pytest

from qjet_shared.errors import FieldError, InvalidJsonError, QjetError
from qjet_shared.messages.submission import LARGEST_SEED, Submission
from qjet_shared.submissions import Limits, read_json, read_payload

pytestmark = pytest.mark.unit

LIMITS = Limits(max_shots=1_000_000, max_timeout_s=3600.0)
QASM = "OPENQASM 3; qubit q; bit c; c = measure q;"

FAR_AWAY = {
    "errors": [
        {
            "type": "qerror",
            "operations": ["x"],
            "instructions": [[{"name": "x", "qubits": [10**9]}]],
            "probabilities": [1],
        }
    ]
}
"""An error on a qubit that no gate has."""


def body(**fields):
    return msgspec.json.encode({"qc": QASM, **fields})


def field_errors(data, limits=LIMITS):
    with pytest.raises(FieldError) as caught:
        read_json(data, limits)
    return dict(caught.value.errors)


def json_trouble(data):
    with pytest.raises(InvalidJsonError) as caught:
        read_json(data, LIMITS)
    return caught.value.message


def test_a_circuit_alone_gets_the_defaults():
    """`qc` is all that is required; 1024 shots, no seed, method automatic."""
    assert read_json(body(), LIMITS) == Submission(
        qc=QASM, shots=1024, seed=None, method="automatic", memory=False
    )


def test_every_field_is_read():
    """Each documented field arrives as it was sent."""
    fields = {
        "shots": 7,
        "seed": LARGEST_SEED,
        "method": "stabilizer",
        "memory": True,
        "parameters": {"theta": 0.5},
        "timeout_s": 2.5,
        "tags": ["a", "b"],
        "name": "mine",
    }
    read = read_json(body(**fields), LIMITS)
    assert msgspec.to_builtins(read, str_keys=True) == {
        "qc": QASM,
        **fields,
        "tags": ("a", "b"),
    }


@pytest.mark.parametrize("empty", [b"", b" ", b"\n\t \r\n"])
def test_an_empty_body_is_told_what_to_send(empty):
    """Nothing at all is no JSON, and the message says what is expected."""
    assert "empty" in json_trouble(empty)


@pytest.mark.parametrize("other", [b"[]", b"3", b"null", b'"x"', b"true", b"[1, 2]"])
def test_json_that_is_no_object_is_refused(other):
    """Right JSON of the wrong shape names the shape it should have."""
    assert "JSON object" in field_errors(other)[""]


def test_the_missing_circuit_is_named():
    """`qc` is required."""
    assert field_errors(b"{}") == {"qc": "required"}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("qc", "", "length >= 1"),
        ("qc", 5, "got `int`"),
        ("qc", None, "got `null`"),
        ("qc", ["x"], "got `array`"),
        ("shots", 0, ">= 1"),
        ("shots", -1, ">= 1"),
        ("shots", 1e12, "got `float`"),
        ("shots", 10.5, "got `float`"),
        ("shots", "1024", "got `str`"),
        ("shots", True, "got `bool`"),
        ("shots", None, "got `null`"),
        ("shots", 1_000_001, "at most 1000000"),
        ("shots", 10**12, "at most 1000000"),
        ("shots", 2**63, "at most 1000000"),
        ("seed", -1, ">= 0"),
        ("seed", LARGEST_SEED + 1, "<= 9223372036854775807"),
        ("seed", 1.5, "got `float`"),
        ("seed", "7", "got `str`"),
        ("method", 5, "got `int`"),
        ("memory", 1, "got `int`"),
        ("memory", "yes", "got `str`"),
        ("timeout_s", 0, "> 0"),
        ("timeout_s", -1.5, "> 0"),
        ("timeout_s", 3600.5, "at most 3600"),
        ("timeout_s", 1e300, "at most 3600"),
        ("timeout_s", "3", "got `str`"),
        ("parameters", 5, "got `int`"),
        ("parameters", "a", "got `str`"),
        ("parameters", [], "length >= 1"),
        ("parameters", [1], "parameters[0]"),
        ("parameters", {"theta": "1+2j"}, "got `str` - at `parameters.theta`"),
        (
            "parameters",
            {"a": 1, "theta": [1, 2]},
            "got `array` - at `parameters.theta`",
        ),
        ("parameters", {"theta": None}, "got `null`"),
        ("parameters", {"theta": True}, "got `bool`"),
        ("parameters", {"": 1}, "length >= 1"),
        ("parameters", [{"theta": 1}, {"phi": 1, "theta": [1]}], "`parameters[1].theta`"),
        ("parameters", [{}] * 10_001, "at most 10000 points"),
        ("noise_model", 5, "got `int`"),
        ("noise_model", {"depolarising": {}}, "unknown field `depolarising`"),
        ("noise_model", {"depolarizing": {"one_qubit": 1.5}}, "noise_model.depolarizing.one_qubit"),
        ("noise_model", {"readout": {"p01": -0.1}}, "noise_model.readout.p01"),
        ("noise_model", {"thermal_relaxation": {"t1_s": 1}}, "`t2_s`"),
        ("noise_model", {"thermal_relaxation": {"t1_s": 1, "t2_s": 3}}, "at most 2 * t1_s"),
        ("noise_model", {"errors": [{"type": "plerror"}]}, "noise_model.errors[0].type"),
        ("noise_model", FAR_AWAY, "noise_model.errors[0].instructions[0][0].qubits[0]"),
        ("observables", "ZZ", "got `str`"),
        ("observables", {}, "length >= 1"),
        ("observables", [], "length >= 1"),
        ("observables", {"ZQ": 1}, "^[IXYZ]+$"),
        ("observables", {"ZZ": "1"}, "got `str`"),
        ("observables", {"ZZ": 1e13}, "<= 1000000000000"),
        ("observables", [{"Z": 1}, {"": 1}], "`observables[1].`"),
        ("observables", {"ZZ": 1, "ZQ": 1}, "`observables.ZQ`"),
        ("observables", {"ZZ": [0, 1]}, "got `array` - at `observables.ZZ`"),
        ("precision", "half", "'half'; one of double, single"),
        ("fallback", "statevector", "one of matrix_product_state"),
        ("method_options", {"wat": 1}, "unknown field `wat`"),
        ("method_options", {"fusion_enable": 1}, "method_options.fusion_enable"),
        ("method_options", {"mps_sample_measure_algorithm": "x"}, "one of mps_heuristic"),
        ("method_options", {"extended_stabilizer_sampling_method": "x"}, "one of resampled"),
        ("method_options", {"fusion_max_qubit": 99}, "<= 8"),
        (
            "method_options",
            {"matrix_product_state_max_bond_dimension": 4},
            "no option of method automatic",
        ),
        ("tags", "abc", "got `str`"),
        ("tags", ["a", ""], "tags[1]"),
        ("tags", ["a", 3], "tags[1]"),
        ("tags", ["a" * 65], "<= 64"),
        ("tags", ["a"] * 17, "<= 16"),
        ("name", 5, "got `int`"),
        ("name", "x" * 201, "<= 200"),
    ],
)
def test_a_bad_value_is_named_with_what_is_wrong(field, value, says):
    """One wrong value gives one error, under its field's name."""
    errors = field_errors(body(**{field: value}))
    assert errors.keys() == {field}
    assert says in errors[field]


def test_a_number_too_large_for_a_float_is_named():
    """A `timeout_s` beyond all floats is a wrong value of that field."""
    errors = field_errors(b'{"qc": "x", "timeout_s": 1e999}')
    assert errors.keys() == {"timeout_s"}


def test_a_number_too_large_in_several_fields_is_named_once():
    """Where the rest cannot be looked at, the first wrong field is named."""
    errors = field_errors(b'{"qc": "x", "timeout_s": 1e999, "wat": 1e999}')
    assert errors.keys() == {"timeout_s"}


@pytest.mark.parametrize("sent", ['{"theta": 1e999}', '[{"theta": 1e999}]'])
def test_a_parameter_that_is_no_finite_number_is_named(sent):
    """JSON has no infinity, but numbers that no float can hold."""
    errors = field_errors(b'{"qc": "x", "parameters": ' + sent.encode() + b"}")
    assert errors.keys() == {"parameters"}


def test_a_huge_integer_is_refused_as_too_many_shots():
    """An integer of 40 digits is compared, not cut off."""
    assert "at most" in field_errors(b'{"qc": "x", "shots": ' + b"9" * 40 + b"}")["shots"]


def test_a_bad_method_lists_the_choices():
    """Whoever misspells a method sees all of them."""
    text = field_errors(body(method="statevektor"))["method"]
    assert "statevektor" in text
    for method in ("automatic", "statevector", "density_matrix", "stabilizer"):
        assert method in text
    assert "extended_stabilizer" in text
    assert "matrix_product_state" in text


def test_all_unknown_fields_are_named_at_once():
    """Nobody has to send again to learn of the second misspelling."""
    errors = field_errors(body(shotz=1, sed=2, Method="x"))
    assert errors.keys() == {"shotz", "sed", "Method"}
    assert all("unknown field" in text for text in errors.values())
    assert any("shots" in text for text in errors.values())


def test_unknown_missing_and_wrong_fields_are_all_named_at_once():
    """One answer lists everything that is wrong."""
    errors = field_errors(b'{"qasm": "x", "shots": "many", "seed": -1}')
    assert errors.keys() == {"qasm", "qc", "shots", "seed"}


@pytest.mark.parametrize("shots", [10, 11])
def test_the_operators_limit_is_inclusive(shots):
    """As many shots as the limit are fine, one more is not."""
    limits = Limits(max_shots=10)
    if shots <= 10:
        assert read_json(body(shots=shots), limits).shots == shots
    else:
        assert "at most 10" in field_errors(body(shots=shots), limits)["shots"]


@pytest.mark.parametrize(
    ("data", "byte", "offset"),
    [
        (b'{"qc": "x\xff"}', "0xff", 9),
        (b'{"qc": "\xc3\xa9\xc3"}', "0xc3", 10),
        (b'{"shots": 5, "name": "a\xfe", "qc": "x"}', "0xfe", 23),
        (b'{"\x80": 1}', "0x80", 2),
        (b'{"qc": "\xed\xa0\x80"}', "0xed", 8),
    ],
)
def test_broken_utf8_is_placed_in_the_whole_body(data, byte, offset):
    """The offset counts from the body's start, not from a field's."""
    assert f"{byte} at offset {offset}." in json_trouble(data)


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b'{"qc',
        b'{"qc":',
        b'{"qc": "x"',
        b'{"qc": "x",}',
        b'{"qc": "x"} {}',
        b'{"qc": "x"}\x00',
        b"{'qc': 'x'}",
        b"{qc: 1}",
        b'{"qc": "x\ny"}',
        b'{"qc": "x", "timeout_s": NaN}',
        b'{"qc": "x", "timeout_s": Infinity}',
        b'{"qc": "x", "shots": 01}',
        b'{"qc": "\\x41"}',
        b'{"qc": "\\ud800"}',
        b'{"qc": "\\udc80 x"}',
        b'{"qc": "\\ud800\\u0041"}',
        b"\x00",
        b"\xff",
    ],
)
def test_malformed_json_is_invalid_json(data):
    """Truncated, trailing, NaN, lone surrogates: no JSON, and the message says something."""
    assert len(json_trouble(data)) > 10


@pytest.mark.parametrize(
    "data",
    [
        b'{"shots": "q", "qc": "x',
        b'{"shots": "q", "qc": "x\xff"}',
        b'{"unknown": 1, "qc": }',
        b"[1, 2",
    ],
)
def test_malformed_json_is_invalid_json_whatever_stands_before(data):
    """A wrong value earlier in the text does not make a broken text a validation error."""
    with pytest.raises(QjetError) as caught:
        read_json(data, LIMITS)
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 1_000_000,
        b'{"qc":' + b"[" * 1_000_000,
        b'{"qc":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        b'{"qc": "x", "tags":' + b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"qc": "x", "a":' + b'{"a":' * 150_000 + b"1" + b"}" * 150_001,
    ],
    ids=["brackets", "in qc", "closed", "in tags", "objects", "unknown field"],
)
@pytest.mark.parametrize("read", [read_json, read_payload])
def test_a_million_brackets_are_refused_with_a_short_message(data, read):
    """Depth costs neither the process nor a page of text."""
    with pytest.raises(QjetError) as caught:
        read(data, LIMITS)
    assert caught.value.code in {"invalid_json", "validation"}
    assert len(caught.value.message) < 500


def test_of_a_key_given_twice_the_last_counts():
    """As in every JSON reader that follows RFC 8259's common practice."""
    assert read_json(b'{"qc": "a", "qc": "b"}', LIMITS).qc == "b"


@pytest.mark.parametrize(
    "payload",
    [
        QASM,
        "\n\n  " + QASM,
        "// a comment {\n" + QASM,
        "/* [ */ " + QASM,
        "\ufeff" + QASM,
        "not a program",
        "3",
        "null",
    ],
)
def test_what_does_not_start_like_json_is_openqasm(payload):
    """Bare text is taken as it is, white space and comments included."""
    assert read_payload(payload.encode(), LIMITS) == Submission(qc=payload)


@pytest.mark.parametrize("start", ["", " ", "\n\t "])
def test_what_starts_with_a_brace_is_json(start):
    """A JSON payload may have white space before it."""
    payload = start.encode() + body(shots=5)
    assert read_payload(payload, LIMITS) == Submission(qc=QASM, shots=5)


@pytest.mark.parametrize("payload", [b"[]", b'"OPENQASM 3;"', b"{}"])
def test_json_payloads_of_the_wrong_shape_are_not_taken_for_openqasm(payload):
    """A bracket or quote in front makes it JSON, right or wrong."""
    with pytest.raises(FieldError):
        read_payload(payload, LIMITS)


@pytest.mark.parametrize("payload", [b"", b"  \n"])
def test_an_empty_payload_is_refused(payload):
    """Nothing at all is no submission."""
    with pytest.raises(InvalidJsonError, match="empty"):
        read_payload(payload, LIMITS)


def test_bare_text_that_is_no_utf8_is_placed():
    """The first bad byte of an OpenQASM payload is named with its offset."""
    with pytest.raises(InvalidJsonError, match="0xff at offset 12"):
        read_payload(b"OPENQASM 3; \xff", LIMITS)


@pytest.mark.parametrize(("most", "shots"), [(10, 10), (1023, 1023), (1024, 1024), (5000, 1024)])
def test_who_does_not_say_how_many_shots_gets_no_more_than_are_allowed(most, shots):
    """As JSON or as bare OpenQASM; whoever asks for too many is still told so."""
    limits = Limits(max_shots=most)
    assert read_payload(QASM.encode(), limits).shots == shots
    assert read_payload(body(), limits).shots == shots
    assert read_json(body(memory=True), limits).shots == shots
    if most < 1024:
        assert "at most" in field_errors(body(shots=1024), limits)["shots"]
