"""Shares an executor's sandboxes between the lanes. Pure: no input or output.

There is one sandbox more than circuits that should run at once. Each lane may use all but one, so
that neither ever waits for the other: a two-qubit circuit starts while long ones run, and a long
one gets its turn however many small ones come.

Small tasks that take next to no time are taken in rounds: several for each sandbox, as many as it
does within `_ROUND_S`. So the way there and back is shared, and still nobody waits long here for
what another executor could start.
"""

from collections import Counter
from typing import Final

from qjet_shared.subjects import DEFAULT_LANE, LARGE_LANE

SPARE: Final = 1
"""Sandboxes beyond the circuits that should run at once."""

MOST_RIDES: Final = 32
"""Tasks that one sandbox may have before it at a time."""

_ROUND_S: Final = 0.02
_MEMORY: Final = 0.1
"""How much the newest task counts for the average, which is of some ten to twenty tasks."""


class Seats:
    """Counts the tasks in hand by lane and tells how many more of each could start."""

    def __init__(self, size: int) -> None:
        """Take how many circuits should run at once; `size + SPARE` sandboxes serve them."""
        self._size = size
        self._taken: Counter[str] = Counter()
        self._average_s = _ROUND_S

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

    @property
    def rides(self) -> int:
        """How many small tasks to take on for each sandbox, going by the last ones."""
        return max(1, min(MOST_RIDES, round(_ROUND_S / self._average_s)))

    def took(self, seconds: float) -> None:
        """Take note of how long a small task kept its sandbox."""
        self._average_s += _MEMORY * (max(seconds, _ROUND_S / MOST_RIDES) - self._average_s)

    def worth_asking(self, lane: str) -> int:
        """Return how much room is worth another request: half a round, of small tasks."""
        return 1 if lane == LARGE_LANE else max(1, self.rides * self._size // 2)

    def room(self, lane: str, live: int) -> int:
        """Return how many more tasks of `lane` could start now, with `live` sandboxes up.

        Large tasks are taken one at a time: another executor may have more room for the next.
        """
        taken_by_small = min(self._taken[DEFAULT_LANE], self._size)
        free = live - taken_by_small - self._taken[LARGE_LANE]
        kept_for_small = 1 if self._taken[DEFAULT_LANE] == 0 else 0
        may_be_large = self._taken[LARGE_LANE] < self._size and free > kept_for_small
        for_large = 1 if may_be_large else 0
        if lane == LARGE_LANE:
            return for_large
        for_small = min(self._size, live - self._taken[LARGE_LANE] - for_large)
        return max(0, for_small * self.rides - self._taken[DEFAULT_LANE])
