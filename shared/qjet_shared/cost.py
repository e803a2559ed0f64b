"""Estimates what a submission will cost from its text alone, and puts it into a lane.

Rough on purpose: nothing is parsed, for a gateway has microseconds for it and no Qiskit. What
cannot be estimated counts as large; a wrong guess costs waiting, never a task.

The factors were measured on one core of a small server (Aer 0.18, Qiskit 2.6): see
docs/performance.md.
"""

import re
from collections.abc import Iterator
from typing import Final

from qjet_shared import subjects
from qjet_shared.messages import Submission

LARGE_S: Final = 0.5
"""From this many estimated seconds on, a task counts as large."""

_UNKNOWN_S: Final = float("inf")
_PER_STATEMENT_S: Final = 1e-3
_PER_SHOT_S: Final = 1.5e-6
_PER_AMPLITUDE_S: Final = 4e-9
_PER_TENSOR_S: Final = 2e-4
_MOST_STATE_QUBITS: Final = 40
"""Beyond, no state vector fits: such a circuit is refused, or runs on a stabilizer tableau."""

_DECLARATIONS: Final = (
    re.compile(r"qubit\s*+\[\s*+(\w++)"),
    re.compile(r"qreg\s++\w++\s*+\[\s*+(\w++)"),
)
_ONE_QUBIT: Final = re.compile(r"qubit\s++\w")
_HARD_TO_TELL: Final = ("for", "while", "pow", "ctrl", "def")
_RUNS_EACH_SHOT: Final = ("if", "reset", "switch")
_AFTER_MEASURING: Final = re.compile(r"\b(?:measure|barrier|bit|creg)\b")
_CALL: Final = re.compile(r"\s*+(?:inv\s*+@\s*+)*+(\w++)")


def lane_of(submission: Submission) -> str:
    """Return the lane in which a task should wait."""
    is_large = estimated_s(submission) >= LARGE_S
    return subjects.LARGE_LANE if is_large else subjects.DEFAULT_LANE


def estimated_s(submission: Submission) -> float:
    """Estimate the seconds one core needs to read and run a circuit; infinite where in doubt."""
    source = submission.qc
    qubits = _qubits(source)
    if qubits is None or _has_word(source, _HARD_TO_TELL):
        return _UNKNOWN_S
    operations = _operations(source)
    runs = submission.shots if _is_dynamic(source) else 1
    return (
        operations * _PER_STATEMENT_S
        + submission.shots * _PER_SHOT_S
        + runs * operations * _per_operation_s(submission.method, qubits)
    )


def _per_operation_s(method: str, qubits: int) -> float:
    if method == "density_matrix":
        qubits *= 2
    elif method in ("matrix_product_state", "extended_stabilizer"):
        return _PER_TENSOR_S
    elif method == "stabilizer" or qubits > _MOST_STATE_QUBITS:
        return qubits * _PER_AMPLITUDE_S
    return float(2 ** min(qubits, 2 * _MOST_STATE_QUBITS)) * _PER_AMPLITUDE_S


def _qubits(source: str) -> int | None:
    """Add up the declared qubits; None where a size is no plain number."""
    total = len(_ONE_QUBIT.findall(source))
    try:
        return total + sum(int(n, 0) for form in _DECLARATIONS for n in form.findall(source))
    except ValueError:
        return None


def _has_word(source: str, words: tuple[str, ...]) -> bool:
    """Whether one of `words` stands in the text as a word; most texts do not hold it at all."""
    return any(word in source and re.search(rf"\b{word}\b", source) for word in words)


def _operations(source: str) -> int:
    """Count statements, each call of a defined gate as what it stands for."""
    if "gate" not in source:
        return source.count(";")
    sizes: dict[str, int] = {}
    rest, position = [], 0
    for start, name, body, end in _definitions(source):
        rest.append(source[position:start])
        sizes[name] = _size(body, sizes)
        position = end
    return _size("".join([*rest, source[position:]]), sizes)


def _definitions(source: str) -> Iterator[tuple[int, str, str, int]]:
    """Yield each gate definition: where it starts, its name, its body, where it ends."""
    end = 0
    while (start := source.find("gate", end)) >= 0:
        opening = source.find("{", start)
        closing = source.find("}", opening)
        if opening < 0 or closing < 0:
            return
        head = source[start:opening].split("(", 1)[0].split()
        name = head[1] if len(head) > 1 and head[0] == "gate" else ""
        end = closing + 1
        yield start, name, source[opening + 1 : closing], end


def _size(statements: str, sizes: dict[str, int]) -> int:
    calls = (_CALL.match(statement) for statement in statements.split(";"))
    return sum(sizes.get(call[1], 1) for call in calls if call)


def _is_dynamic(source: str) -> bool:
    """Whether each shot is simulated anew: something depends on, or follows, a measurement."""
    if _has_word(source, _RUNS_EACH_SHOT):
        return True
    _, _, after = source.partition("measure")
    rest = after.split(";")[1:]
    return any(s.strip() and not _AFTER_MEASURING.search(s) for s in rest)
