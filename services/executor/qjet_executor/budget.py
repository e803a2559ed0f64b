"""The memory and the cores of an executor, shared between the tasks that run at once.

Each sandbox has a little memory for itself, enough for most tasks, which never wait. What a task
needs beyond comes from a pool, in the order in which they asked, so that a large one is not
overtaken for ever. A task that takes long gets threads: all cores where it is alone, else a share.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from typing import Final

from msgspec import Struct

_MARGIN: Final = 4
"""Up to an equal share, a task gets so many times what it was estimated to need."""


class MemoryPlan(Struct, frozen=True, kw_only=True):
    """How memory is divided, in MiB.

    `own_mb` is each sandbox's; `share_mb` an equal share of all; `most_mb` what one task can have
    while all the others keep their own; `pool_mb` what is there beyond everybody's own.
    """

    own_mb: int
    share_mb: int
    most_mb: int
    pool_mb: int

    def grant_mb(self, needed_mb: float | None, *, may_fall_back: bool = False) -> int:
        """Return how much to give to a task that is thought to need so much; None: not known.

        What looks as if it could never fit may be a tableau, or leave qubits unused, and gets the
        least: Aer refuses it at once if it is neither. `may_fall_back` says that it then runs
        all the same, with a method whose need is not known.
        """
        if needed_mb is None or (needed_mb > self.most_mb and may_fall_back):
            return self.share_mb
        if needed_mb > self.most_mb:
            return self.own_mb
        return max(self.own_mb, ceil(max(needed_mb, min(self.share_mb, _MARGIN * needed_mb))))


class Budget:
    """Gives memory to tasks; the grants together never exceed what there is."""

    def __init__(self, plan: MemoryPlan) -> None:
        self.plan = plan
        self.is_tight = False
        self._free_mb = plan.pool_mb
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def granted(self, memory_mb: int, *, patience_s: float) -> AsyncIterator[None]:
        """Hold so many MiB, once those who asked before have got theirs.

        While somebody has waited in vain and nothing was given back since, `is_tight` is true.

        Raises:
            TimeoutError: there was not enough within `patience_s` seconds.
        """
        extra_mb = max(0, min(memory_mb, self.plan.most_mb) - self.plan.own_mb)
        if extra_mb:
            await self._take(extra_mb, patience_s)
        try:
            yield
        finally:
            if extra_mb:
                self._give_back(extra_mb)

    async def _take(self, extra_mb: int, patience_s: float) -> None:
        try:
            async with asyncio.timeout(patience_s), self._turn:
                while self._free_mb < extra_mb:
                    self._freed.clear()
                    await self._freed.wait()
                self._free_mb -= extra_mb
        except TimeoutError:
            self.is_tight = True
            raise

    def _give_back(self, extra_mb: int) -> None:
        self._free_mb += extra_mb
        self.is_tight = False
        self._freed.set()


class Cores:
    """Divides cores among the tasks that take long."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._sharers = 0

    @contextmanager
    def shared(self, *, is_long: bool) -> Iterator[int]:
        """Tell how many threads a task may have: one, or if it takes long an equal share."""
        if not is_long:
            yield 1
            return
        self._sharers += 1
        try:
            yield max(1, self._count // self._sharers)
        finally:
            self._sharers -= 1
