"""Strategies for JSON: submissions and other objects that are wrong somewhere."""

import json
from typing import Any, Final, get_args

from hypothesis import strategies as st

from qjet_shared.messages.submission import Method, Submission
from tests.fuzz.corpus import PROGRAMS
from tests.fuzz.options import OPTIONS
from tests.fuzz.programs import programs
from tests.support.circuits import BELL

Pairs = list[tuple[str, str]]

_SHORT_PROGRAMS: Final = [program for program in PROGRAMS if len(program) < 500]
_FIELDS: Final = Submission.__struct_fields__
_ODD_NAMES: Final = (
    "",
    "QC",
    "qc ",
    "qasm",
    "__proto__",
    "shots\\u0000",
    "\\ud800",
    "é",
    "x" * 300,
)
_DEEP: Final = (10, 500, 20_000)
_ODD_VALUES: Final = (
    *("null", "true", "false", "0", "-1", "1", "-0.0", "1.5", "1e2", "1e400", "-1e400", "1e-400"),
    *("64.0", "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 5000),
    *("NaN", "Infinity", "-Infinity", "0x10", "01", "+1", "1_000", '"7"', '"automatic"', '""'),
    *('"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude42"', '"\ufeff"', '"\u202e"'),
    *('"\x01"', '"\\x41"', '"\\', '"a', "[]", "{}", "[null]", '{"qc": 1}', '["a", "a"]', "[[]]"),
    *('"' + "é" * 70 + '"', '"' + "x" * 300 + '"', json.dumps(["t"] * 17), json.dumps(["x" * 65])),
    *("[" * depth + "]" * depth for depth in _DEEP),
    *('{"a":' * depth + "1" + "}" * depth for depth in _DEEP),
)


@st.composite
def submissions(draw: st.DrawFn) -> bytes:
    """Draw the body of a submission, mostly wrong somewhere, as it would be sent."""
    return draw(spoilt_objects(draw(_valid_submissions())))


@st.composite
def spoilt_objects(draw: st.DrawFn, valid: dict[str, Any]) -> bytes:
    """Draw a JSON object with up to three wrong members, or with its bytes in disorder."""
    pairs = [(name, json.dumps(value)) for name, value in valid.items()]
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        pairs = draw(_spoilt_pairs(pairs))
    text = "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
    body = text.encode("utf-8", "surrogatepass")
    return draw(_spoilt_bytes(body)) if draw(st.sampled_from([False] * 3 + [True])) else body


@st.composite
def _valid_submissions(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the members of a valid submission."""
    qc = draw(st.just(BELL) | st.sampled_from(_SHORT_PROGRAMS) | programs)
    values: dict[str, Any] = {"qc": qc}
    options = {
        **OPTIONS,
        "shots": st.integers(1, 64),
        "seed": st.none() | st.integers(0, 2**63 - 1),
        "method": st.sampled_from(get_args(Method)),
        "memory": st.booleans(),
        "timeout_s": st.sampled_from([None, 0.5, 1, 1e-9]),
        "tags": st.lists(st.sampled_from(["a", "b c", "é", "\x00"]), max_size=3),
        "name": st.none() | st.sampled_from(["n", "", "\ud83d\ude42", "\n"]),
    }
    for name in draw(st.lists(st.sampled_from(sorted(options)), max_size=4, unique=True)):
        values[name] = draw(options[name])
    return values


@st.composite
def _spoilt_pairs(draw: st.DrawFn, pairs: Pairs) -> Pairs:
    """Draw one change: a wrong value, an unknown or a repeated name, a missing member."""
    odd = st.sampled_from(_ODD_VALUES)
    kind = draw(st.sampled_from(["value", "value", "known", "unknown", "repeat", "drop"]))
    at = draw(st.integers(0, max(0, len(pairs) - 1)))
    if kind == "known":
        return [*pairs, (draw(st.sampled_from(_FIELDS)), draw(odd))]
    if kind == "unknown" or not pairs:
        return [*pairs, (draw(st.sampled_from(_ODD_NAMES)), draw(odd))]
    if kind == "repeat":
        return [*pairs, (pairs[at][0], draw(odd | st.just(pairs[at][1])))]
    if kind == "drop":
        return pairs[:at] + pairs[at + 1 :]
    return [*pairs[:at], (pairs[at][0], draw(odd)), *pairs[at + 1 :]]


SPLINTERS: Final = (
    *(b"", b"\x00", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"),
    *(b"\\", b'"', b"{", b"}", b"[" * 3000, b",", b":", b"//", b"\r\n", b"\x1b", b" " * 5000),
)


@st.composite
def _spoilt_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw a cut, or bytes put somewhere, or another encoding, or something else altogether."""
    at = draw(st.integers(0, len(body)))
    splinter = draw(st.sampled_from(SPLINTERS))
    text = body.decode("utf-8", "replace")
    return draw(
        st.sampled_from(
            [
                body[:at],
                body[at:],
                body[:at] + splinter + body[at:],
                splinter + body,
                body + splinter,
                text.encode("utf-16"),
                text.encode("utf-32-be"),
            ]
        )
        | st.sampled_from([value.encode("utf-8", "replace") for value in _ODD_VALUES])
        | programs.map(lambda program: program.encode("utf-8", "surrogatepass"))
        | st.binary(max_size=40)
    )
