"""What a task will need of its executor, told from its text before anything is read. Pure.

Generous: what is granted and not used costs others a wait; what is used and not granted costs the
task. Where a state is larger than guessed, Aer says so before it takes any memory, and the task is
granted what it said (see `placement`).
"""

from typing import Final

from msgspec import Struct

from qjet_executor.estimate import needed_bytes
from qjet_executor.refusals import MIB
from qjet_shared import cost, outline
from qjet_shared.messages.submission import Submission

LONG_S: Final = 0.02
"""From this many estimated seconds of simulating on, threads gain: measured, with two, nothing at
5 ms, a third at 20 ms (15 qubits), half from 100 ms (18 qubits) on."""

_SHORT_S: Final = 0.01

_OPERATION_BYTES: Final = 16_384
"""Read, copied and assembled for Aer; see `extent` for what was measured."""

_BIT_BYTES: Final = 1024
_OUTCOME_BYTES: Final = 600
"""An entry of the counts, as Aer's JSON, as Qiskit's text and as ours."""

_POINTS_AT_ONCE: Final = 256
_MOST_EXPONENT: Final = 62
_MOST_BOUNDED_QUBITS: Final = 16
_TENSORS_BYTES: Final = 64
"""A qubit's two matrices, of at most 2^(n/2) rows and columns, and a copy of them."""


class Need(Struct, frozen=True, kw_only=True):
    """MiB of memory, or None where it cannot be told; and whether more threads make it faster.

    What `is_short` surely takes next to no time, so that others may wait behind it.
    `may_fall_back` says that with less memory it runs all the same, by another method.
    """

    memory_mb: float | None
    is_long: bool
    is_short: bool = False
    may_fall_back: bool = False


def need_of(submission: Submission) -> Need:
    """Estimate what a submission will need."""
    seconds = cost.phases_of(submission)
    is_long = seconds.simulate >= LONG_S
    state = None if seconds.read == float("inf") else _state_bytes(submission)
    if state is None:
        return Need(memory_mb=None, is_long=is_long)
    needed = state + seconds.operations * _OPERATION_BYTES + _result_bytes(submission)
    return Need(
        memory_mb=needed / MIB,
        is_long=is_long,
        is_short=seconds.total <= _SHORT_S,
        may_fall_back=submission.fallback is not None,
    )


def _state_bytes(submission: Submission) -> float | None:
    """Return the size of the largest state that Aer may choose to have."""
    qubits = _sum(submission.qc, outline.QUBITS)
    method, precision = submission.method, submission.precision
    if method in ("matrix_product_state", "extended_stabilizer"):
        is_bounded = method == "matrix_product_state" and qubits <= _MOST_BOUNDED_QUBITS
        return _TENSORS_BYTES * qubits * 2.0**qubits if is_bounded else None
    if method != "automatic":
        return needed_bytes(method, qubits, precision)
    has_density = submission.noise_model is not None and submission.shots >> qubits
    return needed_bytes("density_matrix" if has_density else "statevector", qubits, precision)


def _result_bytes(submission: Submission) -> int:
    """Return the size of bits, counts and per-shot outcomes while they are put together."""
    bits = _sum(submission.qc, outline.BITS)
    outcomes = min(submission.shots, 1 << min(bits, _MOST_EXPONENT))
    kept = submission.shots if submission.memory else 0
    points = min(submission.points, _POINTS_AT_ONCE)
    return bits * _BIT_BYTES + points * (outcomes + kept) * (_OUTCOME_BYTES + bits)


def _sum(source: str, words: tuple[str, ...]) -> int:
    return sum(size or 0 for size in outline.declared(source, words))
