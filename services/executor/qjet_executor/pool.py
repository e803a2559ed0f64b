"""Keeps a fixed number of warm sandboxes and replaces those that die or grow old."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from qjet_executor.child import Sandbox
from qjet_executor.death import SandboxDiedError
from qjet_executor.protocol import DEFAULT_MAX_RESULT_MB, Device
from qjet_executor.seats import MOST_RIDES, SPARE
from qjet_shared.metrics import ExecutorMetrics
from qjet_shared.subjects import DEFAULT_LANE

log = logging.getLogger(__name__)

_FIRST_RETRY_S: Final = 0.5
_LAST_RETRY_S: Final = 30.0


class PoolShape(Struct, frozen=True, kw_only=True):
    """How many sandboxes, and what each may take."""

    size: int
    most_memory_mb: int
    threads: int
    max_tasks: int
    max_result_mb: int = DEFAULT_MAX_RESULT_MB
    device: Device = "CPU"


@dataclass
class _Use:
    """Who a sandbox that is taken works for."""

    lane: str
    is_shared: bool
    riders: int = 0


class Pool:
    """The executor's sandboxes; `live` of them are warm."""

    def __init__(
        self,
        shape: PoolShape,
        metrics: ExecutorMetrics,
        on_free: Callable[[], None],
        on_hopeless: Callable[[str], None],
    ) -> None:
        """Take the shape, and what to call whenever a sandbox becomes free.

        `on_hopeless` is called with the reason where no sandbox can ever start here.
        """
        self._shape = shape
        self._metrics = metrics
        self._on_free = on_free
        self._on_hopeless = on_hopeless
        self._idle: list[Sandbox] = []
        self._busy: dict[Sandbox, _Use] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self._is_closed = False

    @property
    def live(self) -> int:
        """How many sandboxes are up, idle or busy."""
        return len(self._idle) + len(self._busy)

    @property
    def is_warm(self) -> bool:
        """Whether at least one sandbox is up."""
        return bool(self._idle or self._busy)

    def start(self) -> None:
        """Begin to start all sandboxes."""
        for _ in range(self._shape.size):
            self._add()

    async def take(self, lane: str = DEFAULT_LANE, *, shares: bool = False) -> Sandbox:
        """Take a sandbox, for one job at most, and give it back after.

        A job that is short `shares` its sandbox with others of its kind. Where none is to be had,
        this waits.
        """
        while (sandbox := self.take_now(lane, shares=shares)) is None:
            self._freed.clear()
            await self._freed.wait()
        return sandbox

    def take_now(self, lane: str = DEFAULT_LANE, *, shares: bool = False) -> Sandbox | None:
        """Take a sandbox as `take` does, if one is to be had."""
        sandbox = self._free(lane, shares=shares) or self._shared(shares=shares)
        if sandbox is not None:
            self._busy[sandbox].riders += 1
        return sandbox

    def _free(self, lane: str, *, shares: bool) -> Sandbox | None:
        """Return an idle sandbox, if there is one and the other lane keeps one."""
        taken = sum(use.lane == lane for use in self._busy.values())
        if not self._idle or taken >= max(1, self._shape.size - SPARE):
            return None
        sandbox = self._idle.pop()
        self._busy[sandbox] = _Use(lane, shares)
        self._count()
        return sandbox

    def _shared(self, *, shares: bool) -> Sandbox | None:
        """Return the least taken of the sandboxes that others share, if one may join."""
        if not shares:
            return None
        open_ones = [
            sandbox
            for sandbox, use in self._busy.items()
            if use.is_shared and use.riders < MOST_RIDES and not sandbox.unfit_for
        ]
        return min(open_ones, key=lambda s: self._busy[s].riders, default=None)

    def give_back(self, sandbox: Sandbox) -> None:
        """Take back a sandbox, or another in its place where it is of no more use."""
        use = self._busy[sandbox]
        use.riders -= 1
        if use.riders:
            self._freed.set()
            return
        del self._busy[sandbox]
        is_old = sandbox.jobs_done >= self._shape.max_tasks
        if reason := sandbox.unfit_for or ("old" if is_old else ""):
            self._replace(sandbox, reason)
        else:
            self._add_idle(sandbox)
        self._count()

    async def close(self) -> None:
        """End all sandboxes, whatever they do."""
        self._is_closed = True
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await asyncio.gather(*(sandbox.kill() for sandbox in [*self._idle, *self._busy]))
        self._idle.clear()
        self._busy.clear()

    def _replace(self, sandbox: Sandbox, reason: str) -> None:
        self._metrics.sandbox_restarts.labels(reason).inc()
        log.warning("sandbox.replaced", extra={"pid": sandbox.pid, "reason": reason})
        self._spawn(sandbox.kill())
        if not self._is_closed:
            self._add()

    def _add(self) -> None:
        self._spawn(self._start_one())

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work, name="sandbox")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _start_one(self) -> None:
        """Start a sandbox, trying again for as long as it takes."""
        wait_s = _FIRST_RETRY_S
        while True:
            try:
                sandbox = await Sandbox.start(
                    memory_mb=self._shape.most_memory_mb,
                    threads=self._shape.threads,
                    max_result_mb=self._shape.max_result_mb,
                    device=self._shape.device,
                )
            except (SandboxDiedError, OSError) as exc:
                if isinstance(exc, SandboxDiedError) and exc.reason == "hopeless":
                    self._on_hopeless(str(exc))
                    return
                log.error("sandbox.start_failed", extra={"error": str(exc), "retry_in_s": wait_s})  # noqa: TRY400  # the text says it all
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _LAST_RETRY_S)
                continue
            self._spawn(self._watch(sandbox))
            self._add_idle(sandbox)
            self._count()
            return

    def _add_idle(self, sandbox: Sandbox) -> None:
        self._idle.append(sandbox)
        self._freed.set()
        self._on_free()

    async def _watch(self, sandbox: Sandbox) -> None:
        """Replace a sandbox that dies while it is idle; a busy one's job tells of its death."""
        death = await sandbox.gone()
        if sandbox in self._idle:
            self._idle.remove(sandbox)
            self._replace(sandbox, death.reason)
            self._count()

    def _count(self) -> None:
        self._metrics.sandboxes.labels("idle").set(len(self._idle))
        self._metrics.sandboxes.labels("busy").set(len(self._busy))
