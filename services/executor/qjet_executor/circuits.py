"""From OpenQASM text to a circuit, with errors that say what and where. Sandbox only."""

import re
from typing import Final

from qiskit import QuantumCircuit, qasm2

from qjet_executor import extent, refusals
from qjet_executor.diagnose import CircuitError, from_qasm2, from_qasm3
from qjet_executor.genuine import genuine
from qjet_executor.names import measures
from qjet_executor.qasm3 import importer, reader

_STRING_OR_COMMENT: Final = re.compile(
    r'"[^"\n]*"|\'[^\'\n]*\'|//[^\n]*|/\*(?:.*?\*/|.*)', re.DOTALL
)
_VERSION: Final = re.compile(r"\s*OPENQASM\s+(\d+)(?:\.(\d+))?\s*;")
_INCLUDE: Final = re.compile(r'include(?<!\winclude)\s*(["\'])(.*?)\1')
_ALLOWED_INCLUDES: Final = {2: "qelib1.inc", 3: "stdgates.inc"}
_BYTE_ORDER_MARK: Final = "\ufeff"
_DEFAULT_MEMORY_MB: Final = 4096


def read_circuit(
    source: str, *, memory_mb: int = _DEFAULT_MEMORY_MB, may_be_unmeasured: bool = False
) -> QuantumCircuit:
    """Build the circuit that `source` describes, in the OpenQASM version its first line names.

    Without a version line it is read as OpenQASM 3, where that line is optional; OpenQASM 2
    demands it. The circuit holds nothing but Qiskit's own operations; each input that the program
    declares is a parameter of it.

    Raises:
        CircuitError: the text is no valid program, uses what cannot be run, measures nothing
            where it has to, or describes more than `memory_mb` MiB could hold.
        MemoryError: it took more memory than this process may have.
    """
    source = source.removeprefix(_BYTE_ORDER_MARK)
    code = _without_comments(source)
    version = _version(code)
    _check_includes(code, version)
    most = extent.limits(memory_mb)
    circuit = reader.read(source, most) if version == 3 else None  # noqa: PLR2004
    if circuit is None:
        circuit = _imported(source, code, version, most)
    if not (may_be_unmeasured or measures(circuit)):
        raise CircuitError(
            "no_measurements",
            "The circuit measures nothing, so there is nothing to count.",
            hint="Declare bits and measure into them, e.g. `bit[2] c; c = measure q;`, or ask for "
            "`observables`.",
        )
    return circuit


def _imported(source: str, code: str, version: int, most: extent.Limits) -> QuantumCircuit:
    """Have one of Qiskit's importers read the program, as far as that is safe."""
    if error := extent.refusal(code, version, most):
        raise CircuitError.of(error)
    circuit = _read_qasm2(source) if version == 2 else _read_qasm3(source)  # noqa: PLR2004
    try:
        return genuine(circuit, most.operations)
    except RecursionError as exc:
        raise CircuitError.of(refusals.too_deep()) from exc


def _without_comments(source: str) -> str:
    """Return the program with comments replaced by as much white space; most have none."""
    has_comments = "//" in source or "/*" in source
    return _STRING_OR_COMMENT.sub(_blank_comment, source) if has_comments else source


def _blank_comment(found: re.Match[str]) -> str:
    """Replace a comment by as much white space, so that lines and columns stay."""
    return found[0] if found[0][0] in "\"'" else re.sub(r"[^\n]", " ", found[0])


def _version(code: str) -> int:
    if not code.strip():
        raise CircuitError("qasm_syntax", "The program is empty.", line=1, column=1)
    found = _VERSION.match(code)
    if not found:
        return 3
    if found[1] not in ("2", "3"):
        line, column = _place(code, found.start(1))
        name = f"OpenQASM {found[1]}" + (f".{found[2]}" if found[2] else "")
        raise CircuitError(
            "qasm_unsupported",
            f"{name} cannot be run; only OpenQASM 3 and 2 can.",
            line=line,
            column=column,
        )
    return int(found[1])


def _check_includes(code: str, version: int) -> None:
    allowed = _ALLOWED_INCLUDES[version]
    for found in _INCLUDE.finditer(code):
        if found[2] == allowed:
            continue
        line, column = _place(code, found.start())
        hint = f'Only `include "{allowed}";` may stand in OpenQASM {version}.'
        if found[2] == _ALLOWED_INCLUDES[2]:
            hint += " An OpenQASM 2 program starts with `OPENQASM 2.0;`."
        raise CircuitError(
            "qasm_unsupported",
            f"include of {found[2][:80]!r} is not allowed; no files are read.",
            line=line,
            column=column,
            hint=hint,
        )


def _place(code: str, offset: int) -> tuple[int, int]:
    """Return line and column, from 1, of an offset."""
    before = code[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def _read_qasm3(source: str) -> QuantumCircuit:
    try:
        return importer.load(source)
    except MemoryError:
        raise
    except Exception as exc:
        raise from_qasm3(exc, source) from exc


def _read_qasm2(source: str) -> QuantumCircuit:
    try:
        return _parse_qasm2(source)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as exc:  # the Rust parser's panics are no `Exception`
        message = str(exc)
        raise from_qasm2(exc, lambda: _statement_that_fails(source, message)) from exc


def _parse_qasm2(source: str) -> QuantumCircuit:
    return qasm2.loads(
        source,
        include_path=(),
        custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS,
        custom_classical=qasm2.LEGACY_CUSTOM_CLASSICAL,
    )


def _statement_that_fails(source: str, message: str) -> tuple[int, int]:
    """Find the statement of an error that names no place: the first prefix that gives it too."""
    code = _without_comments(source)
    ends = [found.end() for found in re.finditer(";", code)] or [len(code)]
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _fails(code[: ends[middle]], message) else (middle + 1, high)
    start = ends[low - 1] if low else 0
    return _place(code, start + len(code[start:]) - len(code[start:].lstrip()))


def _fails(prefix: str, message: str) -> bool:
    try:
        _parse_qasm2(prefix)
    except Exception as exc:  # noqa: BLE001  # any error; only the same one counts
        return str(exc) == message
    return False
