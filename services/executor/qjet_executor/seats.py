"""Shares an executor's sandboxes between the lanes. Pure: no input or output.

There is one sandbox more than circuits that should run at once. Each lane may use all but one, so
that neither ever waits for the other: a two-qubit circuit starts while long ones run, and a long
one gets its turn however many small ones come.
"""

from collections import Counter
from typing import Final

from qjet_shared.subjects import DEFAULT_LANE, LARGE_LANE

SPARE: Final = 1
"""Sandboxes beyond the circuits that should run at once."""


class Seats:
    """Counts the tasks in hand by lane and tells how many more of each could start."""

    def __init__(self, size: int) -> None:
        """Take how many circuits should run at once; `size + SPARE` sandboxes serve them."""
        self._size = size
        self._taken: Counter[str] = Counter()

    @property
    def sandboxes(self) -> int:
        """How many sandboxes it takes."""
        return self._size + SPARE

    def claim(self, lane: str) -> None:
        """A task has come that will want a sandbox."""
        self._taken[lane] += 1

    def release(self, lane: str) -> None:
        """A task needs its sandbox no more."""
        self._taken[lane] -= 1

    def room(self, lane: str, live: int) -> int:
        """Return how many more tasks of `lane` could start now, with `live` sandboxes up.

        Large tasks are taken one at a time: another executor may have more room for the next.
        """
        free = live - self._taken.total()
        kept_for_small = 1 if self._taken[DEFAULT_LANE] == 0 else 0
        may_be_large = self._taken[LARGE_LANE] < self._size and free > kept_for_small
        for_large = 1 if may_be_large else 0
        if lane == LARGE_LANE:
            return for_large
        return max(0, min(self._size - self._taken[DEFAULT_LANE], free - for_large))
