"""How well counts fit probabilities."""

from collections.abc import Mapping
from typing import Final

import scipy.stats

UNLIKELY: Final = 1e-9
"""Counts below this do not follow the distribution; of a billion that do, one seems not to."""

_FEWEST: Final = 10


def p_value(counts: Mapping[str, int], probabilities: Mapping[str, float]) -> float:
    """Return how likely counts are to be at least so far off, by Pearson's chi-square test.

    Outcomes that are expected fewer than ten times are put together; one that cannot be gives 0.
    """
    if any(probabilities.get(outcome, 0) <= 0 for outcome in counts):
        return 0.0
    shots = sum(counts.values())
    cells: list[tuple[float, float]] = []
    rare = [0.0, 0.0]
    for outcome, probability in probabilities.items():
        found, expected = counts.get(outcome, 0), shots * probability
        if expected >= _FEWEST:
            cells.append((found, expected))
        else:
            rare[0] += found
            rare[1] += expected
    if rare[1] >= _FEWEST / 2:
        cells.append((rare[0], rare[1]))
    elif cells:
        cells[-1] = (cells[-1][0] + rare[0], cells[-1][1] + rare[1])
    return float(scipy.stats.chisquare(*zip(*cells, strict=True)).pvalue)
