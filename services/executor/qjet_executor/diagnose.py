"""Turns what Qiskit and Aer raise into typed errors that say what, where and what to do.

Sandbox only. Sources of the shapes read here: `qiskit_qasm3_import.exceptions` ("line,column:
text", columns from 0), `openqasm3.parser` (ANTLR's exceptions), Qiskit's Rust OpenQASM 2 parser
("<input>:line,column: text", columns from 0), Aer's `controller.hpp` and `state_chunk.hpp`.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from qjet_executor import refusals
from qjet_executor.estimate import MOST_EXTENDED_STABILIZER_QUBITS
from qjet_executor.protocol import Room
from qjet_executor.refusals import MIB
from qjet_shared.messages.task import ErrorCode, TaskError

_IMPORTER_PLACE: Final = re.compile(r"^(\d+),(\d+): (.*)$", re.DOTALL)
_LEXER_PLACE: Final = re.compile(r"^L(\d+):C(\d+): (.*)$", re.DOTALL)
_QASM2_PLACE: Final = re.compile(r"<input>:(\d+),(\d+): (.*)$", re.DOTALL)
_MEMORY: Final = re.compile(r"Required memory: (\d+)M, max memory: (\d+)M")
_CH_LIMIT: Final = "CH simulator only supports"
_NO_MEMORY: Final = re.compile(r"bad_alloc|[Cc]annot allocate memory")
_INVALID_GATES: Final = re.compile(r'invalid instructions \{"gates": \{(.*?)\}\}')
_INVALID_NOISE: Final = re.compile(
    r'Noise model contains invalid instructions \{"\w+": \{(.*?)\}\}'
)
_INVALID_PARAMETERS: Final = re.compile(r"contains invalid parameters")
_CIRCUIT_NAME: Final = re.compile(r"\s*\bcircuit-\d+\b")
_UNSUPPORTED_SIGNS: Final = (
    "not supported",
    "not currently supported",
    "unsupported",
    "unhandled",
    "cannot be resolved",
    "must be",
)
_LOOP_OVER_QUBITS: Final = "index must be int, slice or list"
_PLAIN_WORDS: Final = {
    re.compile("duplicate bit arguments"): "The gate is applied to the same qubit twice.",
    re.compile("mismatched lengths in gate broadcast"): "Registers of different sizes in one call.",
    re.compile("register size error"): "As many bits as qubits have to be measured into.",
    re.compile("measurements must save their result"): (
        "A measurement has to go into a bit: `c = measure q;`."
    ),
    re.compile("Symbol ('.*?') already inserted in symbol table"): r"\1 is declared twice.",
    re.compile('register name "(.*?)" already exists'): r"'\1' is declared twice.",
    re.compile("node of type (\\w+) is not supported"): (
        r"This statement (\1) is none that can be read."
    ),
}
"""What importer and Qiskit say, and what it means."""

_LONGEST_MESSAGE: Final = 400
_WITHOUT_METHOD: Final = "Leave `method` out, or use statevector."


class CircuitError(Exception):
    """A circuit cannot be run; `error` says why."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.error = TaskError(
            code=code, message=message[:_LONGEST_MESSAGE], line=line, column=column, hint=hint
        )

    @classmethod
    def of(cls, error: TaskError) -> "CircuitError":
        """Return the exception for an error that is made already."""
        return cls(error.code, error.message, hint=error.hint)


class StateTooLargeError(CircuitError):
    """Aer refused a state of `needed_mb` MiB, before it took any of them."""

    def __init__(self, error: TaskError, needed_mb: float) -> None:
        super().__init__(error.code, error.message, hint=error.hint)
        self.needed_mb = needed_mb


def from_qasm3(exc: Exception, source: str) -> CircuitError:
    """Diagnose what `qiskit.qasm3.loads` raised over `source`."""
    if isinstance(exc, RecursionError):
        return CircuitError.of(refusals.too_deep())
    text = _plain(exc)
    if found := _LEXER_PLACE.match(text):
        return _placed("qasm_syntax", int(found[1]), int(found[2]), found[3])
    if found := _IMPORTER_PLACE.match(text):
        is_unsupported = any(sign in found[3] for sign in _UNSUPPORTED_SIGNS)
        code: ErrorCode = "qasm_unsupported" if is_unsupported else "qasm_syntax"
        line, column = _within_line(source, int(found[1]), int(found[2]))
        return _placed(code, line, column, _in_plain_words(found[3]))
    if type(exc).__name__ == "QASM3ParsingError":
        return _syntax_error(exc)
    return _at_statement(exc, text)


def from_qasm2(exc: BaseException, find_place: Callable[[], tuple[int, int]]) -> CircuitError:
    """Diagnose what `qiskit.qasm2.loads` raised; `find_place` searches where it does not say."""
    text = _plain(exc)
    if found := _QASM2_PLACE.search(text):
        return _placed("qasm_syntax", int(found[1]), int(found[2]), found[3])
    if not isinstance(exc, Exception):
        return CircuitError("qasm_syntax", "The OpenQASM 2 parser failed on this program.")
    line, column = find_place()
    message = text.removeprefix("<input>: ") or type(exc).__name__
    return CircuitError("qasm_syntax", message, line=line, column=column)


def from_transpiler(exc: Exception, method: str) -> CircuitError:
    """Diagnose what the pass manager raised while it brought gates to those `method` knows."""
    if method == "automatic":
        return CircuitError("qasm_unsupported", f"This circuit cannot be simulated: {_plain(exc)}")
    return CircuitError(
        "invalid_option",
        f"Method {method} cannot run all gates of this circuit: {_plain(exc)}",
        hint=_WITHOUT_METHOD,
    )


def from_aer(
    status: str, method: str, *, qubits: int, room: Room, fitting: Sequence[str]
) -> CircuitError:
    """Diagnose the status of a failed Aer run of `qubits` qubits in so much `room`.

    `fitting` lists the methods that would hold the circuit.
    """
    if found := _MEMORY.search(status):
        return _too_large(method, qubits, float(found[1]), room, fitting)
    if _NO_MEMORY.search(status):
        return CircuitError.of(refusals.out_of_memory(room.memory_mb))
    if _CH_LIMIT in status:
        return CircuitError.of(
            refusals.too_many_for_method(method, qubits, MOST_EXTENDED_STABILIZER_QUBITS, fitting)
        )
    if unfit := _unfit(status, method):
        return unfit
    reason = _CIRCUIT_NAME.sub("", status.removeprefix("ERROR: "))
    return CircuitError("simulation_failed", reason or "Aer gave no reason.")


def _too_large(
    method: str, qubits: int, needed_mb: float, room: Room, fitting: Sequence[str]
) -> StateTooLargeError:
    error = refusals.state_too_large(
        method=method,
        qubits=qubits,
        needed=needed_mb * MIB,
        limit_mb=room.most_mb,
        fitting=fitting,
    )
    return StateTooLargeError(error, needed_mb)


def _unfit(status: str, method: str) -> CircuitError | None:
    """Return the error of something that this method has no way to run, if that is what failed."""
    if found := _INVALID_NOISE.search(status):
        message = f"noise_model: method {method} cannot run this noise: {found[1]}."
        return CircuitError("invalid_option", message, hint=_WITHOUT_METHOD)
    if found := _INVALID_GATES.search(status):
        message = f"Method {method} cannot run these gates: {found[1]}."
        return CircuitError("invalid_option", message, hint=_WITHOUT_METHOD)
    if _INVALID_PARAMETERS.search(status):
        message = f"Method {method} cannot run the angles or gates of this circuit."
        return CircuitError("invalid_option", message, hint=_WITHOUT_METHOD)
    return None


def _plain(exc: BaseException) -> str:
    """Return the message without the quotes that QiskitError puts around it."""
    text = str(getattr(exc, "message", exc)).strip()
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if is_quoted else text


def _placed(code: ErrorCode, line: int, column_from_0: int, text: str) -> CircuitError:
    return CircuitError(code, text, line=line, column=column_from_0 + 1)


def _within_line(source: str, line: int, column: int) -> tuple[int, int]:
    """Return a place whose column counts within its line.

    Some of the importer's places carry the offset in the whole text as their column.
    """
    lines = source.split("\n")
    start = sum(len(text) + 1 for text in lines[: line - 1])
    length = len(lines[line - 1]) if line <= len(lines) else 0
    return (line, column - start) if start <= column < start + length and start else (line, column)


def _syntax_error(exc: Exception) -> CircuitError:
    """Name the token at which ANTLR gave up; the exception's own message is often empty."""
    inner: Any = exc.__cause__
    reason = inner.args[0] if inner is not None and inner.args else inner
    place = getattr(reason, "offendingToken", None)
    if place is None:
        return CircuitError("qasm_syntax", _plain(exc) or "The program is not valid OpenQASM 3.")
    found = f"Unexpected {place.text[:80]!r}."
    if place.text == "<EOF>":
        found = "The program ends in the middle of a statement."
    return _placed("qasm_syntax", place.line, place.column, found)


def _at_statement(exc: Exception, text: str) -> CircuitError:
    """Diagnose what the importer let through, at the statement it was working on."""
    line, column = _statement_of(exc)
    if _LOOP_OVER_QUBITS in text:
        return CircuitError(
            "qasm_unsupported",
            "A qubit is indexed by a variable, which the importer cannot read yet.",
            line=line,
            column=column,
            hint="Loops over qubits have to be written out, statement by statement.",
        )
    if isinstance(exc, AttributeError | KeyError | NameError):  # the importer is wrong itself
        message = "The importer cannot read this statement."
        return CircuitError("qasm_unsupported", message, line=line, column=column)
    if isinstance(exc, TypeError):  # Qiskit's, of the Python call that the statement became
        text = "The number or kind of arguments in this statement does not fit."
    message = _in_plain_words(text) or type(exc).__name__
    return CircuitError("qasm_syntax", message, line=line, column=column)


def _in_plain_words(text: str) -> str:
    """Say what Qiskit and its importer mean, where they say it in words of their insides."""
    for pattern, words in _PLAIN_WORDS.items():
        if found := pattern.match(text):
            return found.expand(words)
    return text


def _statement_of(exc: Exception) -> tuple[int | None, int | None]:
    """Return the place of the innermost syntax node on the importer's call stack."""
    place: tuple[int | None, int | None] = (None, None)
    trace = exc.__traceback__
    while trace is not None:
        span = getattr(trace.tb_frame.f_locals.get("node"), "span", None)
        if span is not None:
            place = (span.start_line, span.start_column + 1)
        trace = trace.tb_next
    return place
