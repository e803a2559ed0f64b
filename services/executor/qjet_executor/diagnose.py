"""Turns what Qiskit and Aer raise into typed errors that say what, where and what to do.

Sandbox only. Sources of the shapes read here: `qiskit_qasm3_import.exceptions` ("line,column:
text", columns from 0), `openqasm3.parser` (ANTLR's exceptions), Qiskit's Rust OpenQASM 2 parser
("<input>:line,column: text", columns from 0), Aer's `controller.hpp` and `state_chunk.hpp`.
"""

import re
from typing import Any, Final

from qjet_shared.messages import ErrorCode, TaskError

_IMPORTER_PLACE: Final = re.compile(r"^(\d+),(\d+): (.*)$", re.DOTALL)
_LEXER_PLACE: Final = re.compile(r"^L(\d+):C(\d+): (.*)$", re.DOTALL)
_QASM2_PLACE: Final = re.compile(r"<input>:(\d+),(\d+): (.*)$", re.DOTALL)
_MEMORY: Final = re.compile(r"Required memory: (\d+)M, max memory: (\d+)M")
_INVALID_GATES: Final = re.compile(r'invalid instructions \{"gates": \{(.*?)\}\}')
_UNSUPPORTED_SIGNS: Final = ("not supported", "not currently supported", "unsupported", "must be")
_LONGEST_MESSAGE: Final = 400


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


def from_qasm3(exc: Exception) -> CircuitError:
    """Diagnose what `qiskit.qasm3.loads` raised."""
    if isinstance(exc, RecursionError):
        return CircuitError("qasm_unsupported", "The program is nested too deeply to be read.")
    text = _plain(exc)
    if found := _LEXER_PLACE.match(text):
        return _placed("qasm_syntax", found)
    if found := _IMPORTER_PLACE.match(text):
        is_unsupported = any(sign in found[3] for sign in _UNSUPPORTED_SIGNS)
        return _placed("qasm_unsupported" if is_unsupported else "qasm_syntax", found)
    if type(exc).__name__ == "QASM3ParsingError":
        return _syntax_error(exc)
    return CircuitError(
        "qasm_unsupported",
        f"The OpenQASM 3 importer cannot read this program: {text or type(exc).__name__}.",
        hint="Loops over qubits, const, def, int and uint variables are not supported yet.",
    )


def from_qasm2(exc: Exception) -> CircuitError:
    """Diagnose what `qiskit.qasm2.loads` raised."""
    text = _plain(exc)
    if found := _QASM2_PLACE.search(text):
        return _placed("qasm_syntax", found)
    return CircuitError("qasm_syntax", text or type(exc).__name__)


def from_transpiler(exc: Exception, method: str) -> CircuitError:
    """Diagnose what the pass manager raised while it brought gates to those `method` knows."""
    return CircuitError(
        "invalid_option",
        f"Method {method} cannot run all gates of this circuit: {_plain(exc)}",
        hint="Leave `method` out, or use statevector.",
    )


def from_aer(status: str, method: str) -> CircuitError:
    """Diagnose the status of a failed Aer run."""
    if found := _MEMORY.search(status):
        return CircuitError(
            "too_many_qubits",
            f"The simulation needs {found[1]} MiB of memory; {found[2]} MiB may be used.",
            hint="With little entanglement, matrix_product_state may fit; with Clifford gates "
            "only, stabilizer does.",
        )
    if found := _INVALID_GATES.search(status):
        return CircuitError(
            "invalid_option",
            f"Method {method} cannot run these gates: {found[1]}.",
            hint="Leave `method` out, or use statevector.",
        )
    return CircuitError(
        "simulation_failed", status.removeprefix("ERROR: ") or "Aer gave no reason."
    )


def _plain(exc: Exception) -> str:
    """Return the message without the quotes that QiskitError puts around it."""
    return str(getattr(exc, "message", exc)).strip().strip('"')


def _placed(code: ErrorCode, found: re.Match[str]) -> CircuitError:
    line, column, text = int(found[1]), int(found[2]) + 1, found[3]
    return CircuitError(code, text, line=line, column=column)


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
    return CircuitError("qasm_syntax", found, line=place.line, column=place.column + 1)
