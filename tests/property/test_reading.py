"""Reading what comes from outside: any bytes end in a value or in a typed error."""

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qjet_executor.settings import ExecutorSettings
from qjet_shared.errors import FieldError, QjetError
from qjet_shared.messages.submission import LARGEST_SEED, Method, Submission
from qjet_shared.settings import SettingsError, read_settings
from qjet_shared.submissions import Limits, read_json, read_payload

pytestmark = pytest.mark.property

LIMITS = Limits()
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SUBMISSIONS = st.builds(
    Submission,
    qc=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    shots=st.integers(1, LIMITS.max_shots),
    seed=st.none() | st.integers(0, LARGEST_SEED),
    method=st.sampled_from(get_args(Method)),
    memory=st.booleans(),
    timeout_s=st.none() | st.floats(1e-300, LIMITS.max_timeout_s),
    tags=st.lists(TEXT.filter(bool).map(lambda t: t[:64]), max_size=16).map(tuple),
    name=st.none() | TEXT.map(lambda t: t[:200]),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from([*Submission.__struct_fields__, "qasm", "Shots", ""])
ALMOST = st.dictionaries(FIELDS, JSON, max_size=6).map(lambda d: json.dumps(d).encode())
VALID = SUBMISSIONS.map(msgspec.json.encode)


@st.composite
def broken(draw):
    """Change a valid body: cut it, or put a byte somewhere."""
    body = draw(VALID | ALMOST)
    at = draw(st.integers(0, len(body)))
    return draw(st.sampled_from([body[:at], body[:at] + draw(st.binary(max_size=3)) + body[at:]]))


@settings(max_examples=400)
@given(st.binary() | ALMOST | broken())
def test_any_bytes_are_a_submission_or_a_typed_error(data):
    """Never another exception, by either door; what is accepted is within the limits."""
    for read in (read_json, read_payload):
        try:
            submission = read(data, LIMITS)
        except QjetError as exc:
            assert exc.code in {"invalid_json", "validation"}
            assert exc.message
        else:
            assert isinstance(submission, Submission)
            assert 1 <= submission.shots <= LIMITS.max_shots


@settings(max_examples=300)
@given(ALMOST | broken())
def test_what_is_no_json_is_never_called_a_wrong_value(data):
    """400 and 422 mean different things to a client."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        with pytest.raises(QjetError) as caught:
            read_json(data, LIMITS)
        assert caught.value.code == "invalid_json"


@given(ALMOST)
def test_every_unknown_field_is_named(data):
    """However many, and whatever else is wrong."""
    try:
        body = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return  # json.dumps writes NaN, which is none
    unknown = body.keys() - set(Submission.__struct_fields__)
    try:
        read_json(data, LIMITS)
    except FieldError as exc:
        assert unknown <= {field for field, _ in exc.errors}
    else:
        assert not unknown


@given(SUBMISSIONS)
def test_a_submission_reads_back_as_it_was_written(submission):
    """By either door."""
    data = msgspec.json.encode(submission)
    assert read_json(data, LIMITS) == submission
    assert read_payload(data, LIMITS) == submission


@given(TEXT.filter(lambda text: text.strip() and text.lstrip()[0] not in '{["'))
def test_bare_text_is_the_circuit_to_the_letter(text):
    """Nothing is stripped or changed, so lines and columns stay."""
    assert read_payload(text.encode(), LIMITS) == Submission(qc=text)


@given(
    st.dictionaries(
        st.sampled_from([f"QJET_{f.upper()}" for f in ExecutorSettings.__struct_fields__]),
        st.text(st.characters(codec="ascii"), max_size=8) | st.integers().map(str),
        max_size=4,
    )
)
def test_any_environment_gives_settings_or_an_error_that_names_a_variable(environ):
    """Never another exception."""
    try:
        read_settings(ExecutorSettings, environ)
    except SettingsError as exc:
        assert any(str(exc).startswith(f"{name}=") for name in environ)
