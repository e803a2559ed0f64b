"""What every row of the bench is made of: rounds in turns, ratios, spreads, targets, verdicts."""

import statistics
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

Round = dict[str, Any]
"""What one round gave: a figure, or an object of figures, by side."""


class Options(Struct, frozen=True, kw_only=True):
    """How long to measure. `is_quick` makes circuits and loads small: a check, no measurement."""

    rounds: int = 5
    seconds: float = 4.0
    tasks: int = 50_000
    is_quick: bool = False
    cores: int = 2

    def size(self, full: Any, quick: Any) -> Any:
        """Choose between what a full and a quick run take."""
        return quick if self.is_quick else full


class Target(Struct, frozen=True):
    """The bound that a figure has to keep."""

    sign: Literal[">=", "<="]
    bound: float

    def is_met_by(self, figure: float) -> bool:
        """Whether `figure` keeps it."""
        return figure >= self.bound if self.sign == ">=" else figure <= self.bound


class Spread(Struct, frozen=True):
    """The least, the middle and the greatest of some figures."""

    min: float
    median: float
    max: float


class Line(Struct, frozen=True, kw_only=True):
    """One line of the table: a figure for each round, and the target for their median."""

    title: str
    unit: str
    figures: list[float]
    target: Target | None = None

    @property
    def spread(self) -> Spread:
        """How far the rounds lie apart."""
        return Spread(min(self.figures), statistics.median(self.figures), max(self.figures))

    @property
    def is_met(self) -> bool | None:
        """Whether the median keeps the target; None without one."""
        return self.target and self.target.is_met_by(self.spread.median)


class Found(Struct, frozen=True, kw_only=True):
    """What a row gave: its lines, and every round they were made of."""

    lines: list[Line]
    rounds: list[Round]


class Row(Struct, frozen=True, kw_only=True):
    """One thing to measure. `is_extra` rows run only where they are named."""

    name: str
    measure: Callable[[Options], Found]
    is_extra: bool = False


def alternate(rounds: int, **sides: Callable[[int], Any]) -> list[Round]:
    """Measure each side once a round, in turns, so that a noisy machine disturbs all alike.

    Every second round goes the other way about. A side is told the number of its round.
    """
    found = []
    for number in range(rounds):
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        found.append({side: sides[side](number) for side in order})
    return found


def ratios(rounds: list[Round], over: str, under: str) -> list[float]:
    """Divide one side by the other, round by round."""
    return [each[over] / each[under] for each in rounds]


def figures_of(rounds: list[Round], side: str, name: str) -> list[float]:
    """Return one figure of a side that gives several, round by round."""
    return [each[side][name] for each in rounds]
