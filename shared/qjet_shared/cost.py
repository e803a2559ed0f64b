"""Estimates what a submission will cost from its text alone, and puts it into a lane.

Rough on purpose: nothing is parsed, for a gateway has microseconds for it and no Qiskit. What
cannot be estimated counts as large; a wrong guess costs waiting, never a task.

The factors are rounded from measurements on one core (Aer 0.18, Qiskit 2.6), which stand in
docs/performance.md.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from qjet_shared import outline, subjects
from qjet_shared.messages.submission import Submission
from qjet_shared.noise import QuantumErrorEntry

LARGE_S: Final = 0.5
"""From this many estimated seconds on, a task counts as large."""

_UNKNOWN_S: Final = float("inf")
_PER_STATEMENT_S: Final = 2e-5
"""To read it, and to bring it into Aer's form."""

_PER_IMPORTED_STATEMENT_S: Final = 1e-3
_PER_POINT_S: Final = 5e-4
_PER_NOISY_POINT_S: Final = 7e-3
_PER_OPERATION_AGAIN_S: Final = 2e-6
"""What an operation of any size takes in a shot that is simulated anew."""

_NOISE_FACTOR: Final = 4
"""After each operation on a state, an error is drawn and happens: so much more than without."""

_MIXED: Final = "density_matrix"
_MOST_STATE_QUBITS: Final = 40
"""Beyond, no state vector fits: such a circuit is refused, or runs on a stabilizer tableau."""

_FOR_THE_IMPORTER: Final = (
    "input const let box switch angle float int uint complex duration stretch delay".split()  # noqa: SIM905
)
"""Words of OpenQASM 3 that the fast reader leaves to the reference importer (ADR 15)."""

_HARD_TO_TELL: Final = ("for", "while", "pow", "ctrl", "def")
_RUNS_EACH_SHOT: Final = ("if", "reset", "switch")
_AFTER_MEASURING: Final = re.compile(r"\b(?:measure|barrier|bit|creg)\b")


def lane_of(submission: Submission) -> str:
    """Return the lane in which a task should wait."""
    is_large = estimated_s(submission) >= LARGE_S
    return subjects.LARGE_LANE if is_large else subjects.DEFAULT_LANE


class Phases(NamedTuple):
    """How many operations a circuit has, and the seconds one core needs to read and to run it."""

    operations: float
    read: float
    simulate: float

    @property
    def total(self) -> float:
        """Seconds for all of it."""
        return self.read + self.simulate


def estimated_s(submission: Submission) -> float:
    """Estimate the seconds one core needs to read and run a circuit; infinite where in doubt."""
    return phases_of(submission).total


def phases_of(submission: Submission) -> Phases:
    """Estimate what `estimated_s` adds up."""
    source = submission.qc
    sizes = outline.declared(source, outline.QUBITS)
    qubits = sum(size or 0 for size in sizes)
    if None in sizes or _has_word(source, _HARD_TO_TELL):
        return Phases(_UNKNOWN_S, _UNKNOWN_S, _UNKNOWN_S)
    operations = _operations(source)
    done = operations + _terms(submission)
    has_noise = _is_noisy(submission)
    method = _likely_method(submission, qubits)
    runs = submission.shots if _is_dynamic(source) or (has_noise and method != _MIXED) else 1
    per_operation_s, per_shot_s = _factors_s(method, qubits, has_noise=has_noise)
    if runs > 1:
        per_operation_s += _PER_OPERATION_AGAIN_S
    simulate_s = submission.points * (
        (_PER_NOISY_POINT_S if submission.noise_model else _PER_POINT_S)
        + runs * done * per_operation_s
        + submission.shots * per_shot_s
    )
    is_imported = _has_word(source, _FOR_THE_IMPORTER)
    per_statement_s = _PER_IMPORTED_STATEMENT_S if is_imported else _PER_STATEMENT_S
    return Phases(operations, operations * per_statement_s, simulate_s)


def _is_noisy(submission: Submission) -> bool:
    """Whether there is noise on gates; noise on the reading of qubits alone costs little."""
    model = submission.noise_model
    return model is not None and bool(
        model.depolarizing
        or model.thermal_relaxation
        or any(isinstance(error, QuantumErrorEntry) for error in model.errors)
    )


def _likely_method(submission: Submission, qubits: int) -> str:
    """Return the method asked for; with noise, Aer computes a mixed state rather than many shots.

    Source: Aer's `Controller::automatic_simulation_method`, which does so with more shots than
    outcomes.
    """
    if submission.fallback and qubits > _MOST_STATE_QUBITS and submission.method != "stabilizer":
        return submission.fallback
    is_open = submission.method == "automatic" and _is_noisy(submission)
    return _MIXED if is_open and submission.shots > 2**qubits else submission.method


def _terms(submission: Submission) -> int:
    """Count the Pauli strings to evaluate: those of each observable, and those of its square."""
    asked = submission.observables
    observables = (asked,) if isinstance(asked, dict) else asked or ()
    return sum(len(terms) * (len(terms) + 1) for terms in observables)


def _factors_s(method: str, qubits: int, *, has_noise: bool) -> tuple[float, float]:
    """Return the seconds that an operation and a shot take with a method."""
    if method == "matrix_product_state":
        return 4e-5, 7e-6 * qubits
    if method == "extended_stabilizer":
        return 0.0, 0.2
    if method == "stabilizer" or qubits > _MOST_STATE_QUBITS:
        return 1e-7 * qubits, 8e-8 * qubits**2
    exponent = 2 * qubits if method == _MIXED else qubits
    per_amplitude_s = 4e-9 * (_NOISE_FACTOR if has_noise else 1)
    return per_amplitude_s * float(2**exponent), 1.5e-6


def _has_word(source: str, words: Sequence[str]) -> bool:
    """Whether one of `words` stands in the text as a word; most texts do not hold it at all."""
    return any(word in source and re.search(rf"\b{word}\b", source) for word in words)


def _operations(source: str) -> int:
    """Count statements, each call of a defined gate as what it stands for."""
    if "{" not in source:  # no definition; "gate" itself is in the name of every include
        return source.count(";")
    rest, position = [], 0
    for definition in outline.definitions(source):
        rest.append(source[position : definition.start])
        position = definition.end
    main = "".join([*rest, source[position:]])
    return outline.operations(main, outline.gate_sizes(source))


def _is_dynamic(source: str) -> bool:
    """Whether each shot is simulated anew: something depends on, or follows, a measurement."""
    if _has_word(source, _RUNS_EACH_SHOT):
        return True
    _, _, after = source.partition("measure")
    rest = after.split(";")[1:]
    return any(s.strip() and not _AFTER_MEASURING.search(s) for s in rest)
