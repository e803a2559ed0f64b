"""From bytes to a checked `Submission`, whichever way they came in.

HTTP bodies are JSON, of one submission or of a batch. NATS payloads are JSON or bare OpenQASM;
which of the two is told from the first character, since no OpenQASM program starts with a JSON
bracket or quote.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, NamedTuple, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from qjet_shared.batches import LARGEST_BATCH
from qjet_shared.errors import FieldError, InvalidJsonError
from qjet_shared.messages import UNREADABLE
from qjet_shared.messages.submission import DEFAULT_SHOTS, Fallback, Method, Submission
from qjet_shared.options import MpsSampling, Precision, StabilizerSampling, misplaced
from qjet_shared.settings import Count, Seconds

_DECODER = msgspec.json.Decoder(Submission)
_FIELD_IN_MESSAGE = re.compile(r"`\$\.(\w+)")
_MOST_SHOWN = 20
_LONGEST_SHOWN = 200
_LONGEST_KEY = 40
_JSON_STARTS = b'{["'
_ONE_OF_ITS_KEYS = re.compile(r"`\$(?:\[(\d+)\])?(?:\[\.\.\.\])?`$")
"""How msgspec tells of an object's key or value: by the object's place, and not by the key."""

_CHOICES: Final = {
    "method": Method,
    "fallback": Fallback,
    "precision": Precision,
    "mps_sample_measure_algorithm": MpsSampling,
    "extended_stabilizer_sampling_method": StabilizerSampling,
}


class _Parts(Struct, forbid_unknown_fields=True):
    """A batch, its tasks not read yet."""

    tasks: Annotated[tuple[Raw, ...], Meta(min_length=1, max_length=LARGEST_BATCH)]


class _AnyParts(Struct):
    """The same for what does not fit: says what is wrong with the batch itself."""

    tasks: Annotated[tuple[Any, ...], Meta(min_length=1, max_length=LARGEST_BATCH)]


_EXAMPLES: dict[type[Struct], str] = {
    Submission: '{"qc": "OPENQASM 3; …"}',
    _AnyParts: '{"tasks": [{"qc": "OPENQASM 3; …"}]}',
}
_PARTS_DECODER = msgspec.json.Decoder(_Parts)


class Part(NamedTuple):
    """A task of a batch: as it was understood, and the very bytes it was read from."""

    submission: Submission
    payload: bytes


class Limits(Struct, frozen=True, kw_only=True):
    """What an operator allows one task to ask for."""

    max_shots: Count = 1_000_000
    max_timeout_s: Seconds = 3600.0
    max_points: Count = 10_000

    @property
    def default_shots(self) -> int:
        """How often a circuit is run whose submission does not say."""
        return min(DEFAULT_SHOTS, self.max_shots)


class _Shots(Struct):
    """Whether a submission says how many shots it wants."""

    shots: Raw | UnsetType = UNSET


def read_payload(payload: bytes, limits: Limits) -> Submission:
    """Read a NATS payload: a JSON submission or bare OpenQASM. Raises as `read_json`."""
    if payload.lstrip()[:1] in _JSON_STARTS and payload.strip():
        return read_json(payload, limits)
    return _within(limits, Submission(qc=_read_text(payload), shots=limits.default_shots))


def read_json(body: bytes, limits: Limits) -> Submission:
    """Read a JSON submission.

    Raises:
        InvalidJsonError: empty, not UTF-8, or malformed.
        FieldError: not an object, an unknown field, a wrong type, or a value outside `limits`.
    """
    try:
        with _as_invalid_json(body):
            return _within(limits, _defaulted(_DECODER.decode(body), body, limits))
    except msgspec.ValidationError as exc:
        raise FieldError(_field_errors(Submission, _loosely(body), str(exc))) from exc


def read_batch(body: bytes, limits: Limits) -> list[Part]:
    """Read a batch: a JSON object whose `tasks` are submissions, each checked as one alone.

    Raises:
        InvalidJsonError: empty, not UTF-8, or malformed.
        FieldError: as `read_json`; a field of the fourth task is named `tasks[3].shots`.
    """
    try:
        with _as_invalid_json(body):
            raws = _PARTS_DECODER.decode(body).tasks
    except msgspec.ValidationError as exc:
        raise FieldError(_field_errors(_AnyParts, _loosely(body), str(exc))) from exc
    parts: list[Part] = []
    errors: list[tuple[str, str]] = []
    for index, raw in enumerate(raws):
        try:
            parts.append(_read_part(bytes(raw), limits))
        except InvalidJsonError as exc:
            raise InvalidJsonError(f"tasks[{index}]: {exc.message}") from exc
        except FieldError as exc:
            place = f"tasks[{index}]"
            errors += [(f"{place}.{name}" if name else place, text) for name, text in exc.errors]
    if errors:
        raise FieldError(_shortened(errors))
    return parts


def _read_part(payload: bytes, limits: Limits) -> Part:
    """Read a task of a batch; one that fits goes without the frame around those that do not."""
    try:
        submission = _within(limits, _defaulted(_DECODER.decode(payload), payload, limits))
    except UNREADABLE:
        submission = read_json(payload, limits)
    return Part(submission, payload)


def _defaulted(submission: Submission, body: bytes, limits: Limits) -> Submission:
    """Return the submission with no more shots than are allowed, unless it asks for them."""
    if limits.default_shots == DEFAULT_SHOTS or submission.shots != DEFAULT_SHOTS:
        return submission
    if msgspec.json.decode(body, type=_Shots).shots is not UNSET:
        return submission
    return msgspec.structs.replace(submission, shots=limits.default_shots)


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
    for name in misplaced(submission.method_options, submission.method, submission.fallback):
        text = f"{name} is no option of method {submission.method}"
        errors.append(("method_options", text))
    if errors:
        raise FieldError(errors)
    return submission


def _json_trouble(body: bytes, exc: Exception) -> str:
    if not body.strip():
        return "The body is empty; it should be a JSON object."
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


def _field_errors(kind: type[Struct], data: Any, first: str) -> list[tuple[str, str]]:
    """List everything wrong with JSON that is no `kind`; `first` is what the decoder named."""
    if data is None and (named := _FIELD_IN_MESSAGE.search(first)):
        return [(named[1], first)]
    if not isinstance(data, dict):
        return [("", f"this should be a JSON object, e.g. {_EXAMPLES[kind]}")]
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    unknown = sorted(data.keys() - fields)
    errors = [(name, "unknown field") for name in unknown[1:]]
    errors += [(name, f"unknown field; known are {', '.join(fields)}") for name in unknown[:1]]
    errors += [(name, "required") for name, f in fields.items() if f.required and name not in data]
    for name in data.keys() & fields:
        try:
            msgspec.convert(data[name], fields[name].type)
        except msgspec.ValidationError as exc:
            errors.append((name, _value_trouble(name, data[name], fields[name].type, str(exc))))
    return _shortened(sorted(errors)) or [("", first[:_LONGEST_SHOWN])]


def _shortened(errors: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Cut a list of errors, and each, to what somebody reads."""
    shown = [(name[:_LONGEST_SHOWN], text[:_LONGEST_SHOWN]) for name, text in errors]
    if len(shown) <= _MOST_SHOWN:
        return shown
    return [*shown[:_MOST_SHOWN], ("", f"and {len(shown) - _MOST_SHOWN} more fields are wrong")]


def _value_trouble(name: str, value: Any, kind: Any, message: str) -> str:
    """Say what is wrong with a value and where, in more words than msgspec."""
    if keyed := _trouble_of_key(name, value, kind, message):
        return keyed
    placed = message.replace("`$", f"`{name}")
    if message.startswith("Invalid enum value"):
        option = re.split(r"\W", placed.rstrip("`"))[-1] if "`" in placed else name
        return f"{placed}; one of {', '.join(get_args(_CHOICES[option]))}"
    return placed


def _trouble_of_key(name: str, value: Any, kind: Any, message: str) -> str:
    """Name the key, in an object or in one of a list's, that msgspec does not; else nothing."""
    found = _ONE_OF_ITS_KEYS.search(message)
    members = value[int(found[1])] if found and found[1] else value
    if not found or not isinstance(members, dict):
        return ""
    place = f"{name}[{found[1]}]" if found[1] else name
    for key, member in members.items():
        try:
            msgspec.convert({key: member}, kind)
        except msgspec.ValidationError as exc:
            reason, _, _ = str(exc).partition(" - at ")
            return f"{reason} - at `{place}.{key[:_LONGEST_KEY]}`"
    return ""
