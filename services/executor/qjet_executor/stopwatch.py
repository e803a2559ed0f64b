"""Tells how long each phase of a job takes. Sandbox only."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from qjet_executor.protocol import Phases

Phase = Literal["parse", "transpile", "simulate", "count"]


class Stopwatch:
    """Adds up seconds by phase. Of phases within one another, the innermost alone counts."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[Phase] = []
        self._since = 0.0

    @property
    def phases(self) -> Phases:
        """What has been measured; a phase that did not come is zero."""
        return Phases(**self._seconds)

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Measure what happens inside."""
        self._lap()
        self._running.append(name)
        try:
            yield
        finally:
            self._lap()
            self._running.pop()

    def _lap(self) -> None:
        now = time.perf_counter()
        if self._running:
            self._seconds[self._running[-1]] += now - self._since
        self._since = now
