"""From bytes to a checked `Submission`, whichever way they came in.

HTTP bodies are JSON. NATS payloads are JSON or bare OpenQASM; which of the two is told from the
first character, since no OpenQASM program starts with a JSON bracket or quote.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import msgspec
from msgspec import Struct

from qjet_shared.errors import FieldError, InvalidJsonError
from qjet_shared.messages import Method, Submission
from qjet_shared.options import misplaced
from qjet_shared.settings import Count, Seconds

_DECODER = msgspec.json.Decoder(Submission)
_FIELD_IN_MESSAGE = re.compile(r"`\$\.(\w+)")
_MOST_SHOWN = 20
_LONGEST_SHOWN = 200
_JSON_STARTS = b'{["'


class Limits(Struct, frozen=True, kw_only=True):
    """What an operator allows one task to ask for."""

    max_shots: Count = 1_000_000
    max_timeout_s: Seconds = 3600.0
    max_points: Count = 10_000


def read_payload(payload: bytes, limits: Limits) -> Submission:
    """Read a NATS payload: a JSON submission or bare OpenQASM. Raises as `read_json`."""
    if payload.lstrip()[:1] in _JSON_STARTS and payload.strip():
        return read_json(payload, limits)
    return _within(limits, Submission(qc=_read_text(payload)))


def read_json(body: bytes, limits: Limits) -> Submission:
    """Read a JSON submission.

    Raises:
        InvalidJsonError: empty, not UTF-8, or malformed.
        FieldError: not an object, an unknown field, a wrong type, or a value outside `limits`.
    """
    try:
        with _as_invalid_json(body):
            return _within(limits, _DECODER.decode(body))
    except msgspec.ValidationError as exc:
        raise FieldError(_field_errors(_loosely(body), str(exc))) from exc


def _loosely(body: bytes) -> Any:
    """Read JSON of any shape, or None where a number in it is beyond all floats."""
    try:
        with _as_invalid_json(body):
            return msgspec.json.decode(body)
    except msgspec.ValidationError:
        return None


@contextmanager
def _as_invalid_json(body: bytes) -> Iterator[None]:
    """Say of what is no JSON at all what is wrong with it and where."""
    try:
        yield
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidJsonError(_json_trouble(body, exc)) from exc


def _read_text(payload: bytes) -> str:
    if not payload.strip():
        raise InvalidJsonError("The submission is empty.")
    try:
        return payload.decode()
    except UnicodeDecodeError as exc:
        raise InvalidJsonError(_utf8_trouble(payload, exc)) from exc


def _within(limits: Limits, submission: Submission) -> Submission:
    """Return the submission, or say which of its values the operator does not allow."""
    errors = []
    if submission.shots > limits.max_shots:
        errors.append(("shots", f"at most {limits.max_shots} here, got {submission.shots}"))
    if submission.timeout_s is not None and submission.timeout_s > limits.max_timeout_s:
        errors.append(("timeout_s", f"at most {limits.max_timeout_s:g} seconds here"))
    if submission.points > limits.max_points:
        text = f"at most {limits.max_points} points here, got {submission.points}"
        errors.append(("parameters", text))
    for name in misplaced(submission.method_options, submission.method):
        text = f"{name} is no option of method {submission.method}"
        errors.append(("method_options", text))
    if errors:
        raise FieldError(errors)
    return submission


def _json_trouble(body: bytes, exc: Exception) -> str:
    if not body.strip():
        return "The body is empty; it should be a JSON object with at least `qc`."
    if isinstance(exc, UnicodeDecodeError):
        return _utf8_trouble(body, exc)
    if isinstance(exc, RecursionError):
        return "The JSON is nested too deeply."
    return f"{exc}."


def _utf8_trouble(body: bytes, exc: UnicodeDecodeError) -> str:
    """Say where the text stops being UTF-8; `exc` may count from a field's start instead."""
    try:
        body.decode()
    except UnicodeDecodeError as whole:
        exc = whole
    return f"The text is not UTF-8: byte 0x{exc.object[exc.start]:02x} at offset {exc.start}."


def _field_errors(data: Any, first: str) -> list[tuple[str, str]]:
    """List everything wrong with JSON that did not fit; `first` is what the decoder named."""
    if data is None and (named := _FIELD_IN_MESSAGE.search(first)):
        return [(named[1], first)]
    if not isinstance(data, dict):
        return [("", 'the submission should be a JSON object, e.g. {"qc": "OPENQASM 3; …"}')]
    fields = {field.name: field for field in msgspec.structs.fields(Submission)}
    unknown = sorted(data.keys() - fields)
    errors = [(name, "unknown field") for name in unknown[1:]]
    errors += [(name, f"unknown field; known are {', '.join(fields)}") for name in unknown[:1]]
    errors += [(name, "required") for name, f in fields.items() if f.required and name not in data]
    for name in data.keys() & fields:
        try:
            msgspec.convert(data[name], fields[name].type)
        except msgspec.ValidationError as exc:
            errors.append((name, _value_trouble(name, str(exc))))
    shown = [(name[:_LONGEST_SHOWN], text[:_LONGEST_SHOWN]) for name, text in sorted(errors)]
    if len(shown) > _MOST_SHOWN:
        rest = ("", f"and {len(shown) - _MOST_SHOWN} more fields are wrong")
        shown = [*shown[:_MOST_SHOWN], rest]
    return shown or [("", first[:_LONGEST_SHOWN])]


def _value_trouble(name: str, message: str) -> str:
    if name == "method" and message.startswith("Invalid enum value"):
        return f"{message}; one of {', '.join(get_args(Method))}"
    return message.replace("`$", f"`{name}")
