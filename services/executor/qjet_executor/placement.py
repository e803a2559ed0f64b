"""Gives each task its room on this executor: memory, and threads."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from qjet_executor.budget import Budget, Cores, MemoryPlan
from qjet_executor.hands import HandBack
from qjet_executor.need import Need
from qjet_executor.protocol import Room

_PATIENCE_S: Final = 5.0


class NeedsMoreError(Exception):
    """A task was refused before it ran, and would run with `memory_mb` MiB."""

    def __init__(self, memory_mb: int) -> None:
        super().__init__(f"{memory_mb} MiB")
        self.memory_mb = memory_mb


class Placement:
    """What the tasks of an executor share."""

    def __init__(self, plan: MemoryPlan, cores: int) -> None:
        """Take how memory is divided, and how many threads a task may have at most."""
        self._plan = plan
        self._budget = Budget(plan)
        self._cores = Cores(cores)
        self._own_room = Room(memory_mb=plan.own_mb, most_mb=plan.most_mb, threads=1)

    @property
    def is_tight(self) -> bool:
        """Whether there was not enough memory for some task, and none has become free since."""
        return self._budget.is_tight

    def own_room(self, need: Need) -> Room | None:
        """Return the room of a task that takes no memory but its sandbox's own, nor threads."""
        if need.is_long or need.memory_mb is None:
            return None
        granted_mb = self._plan.grant_mb(need.memory_mb, may_fall_back=need.may_fall_back)
        return self._own_room if granted_mb <= self._plan.own_mb else None

    @asynccontextmanager
    async def room_for(self, need: Need) -> AsyncIterator[Room]:
        """Give a task its room; where there is none soon, another executor may have some.

        Raises:
            HandBack: there was none in time.
        """
        memory_mb = self._plan.grant_mb(need.memory_mb, may_fall_back=need.may_fall_back)
        async with AsyncExitStack() as stack:
            try:
                granted = self._budget.granted(memory_mb, patience_s=_PATIENCE_S)
                await stack.enter_async_context(granted)
            except TimeoutError as exc:
                raise HandBack("not_started", "Not enough memory was free.") from exc
            threads = stack.enter_context(self._cores.shared(is_long=need.is_long))
            yield Room(memory_mb=memory_mb, most_mb=self._plan.most_mb, threads=threads)
