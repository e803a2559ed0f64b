"""One task's way through the executor: from its delivery to its result.

A task is acknowledged only after its result is on disk in JetStream. What needs no sandbox is
settled before one is taken.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from nats.aio.msg import Msg

from qjet_executor import delivery as fate
from qjet_executor.delivery import Delivery, Fate
from qjet_executor.hands import Hand, Hands
from qjet_executor.pool import Pool
from qjet_executor.results import Results
from qjet_executor.runs import Finished, Runs
from qjet_executor.seats import Seats
from qjet_executor.settings import ExecutorSettings
from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.cost import lane_of
from qjet_shared.errors import QjetError
from qjet_shared.messages.notices import RunningTask
from qjet_shared.metrics import ExecutorMetrics
from qjet_shared.submissions import read_payload

log = logging.getLogger(__name__)


class Worker:
    """Works on deliveries side by side, one sandbox each."""

    def __init__(  # noqa: PLR0913  # all by name
        self,
        *,
        broker: Broker,
        pool: Pool,
        seats: Seats,
        settings: ExecutorSettings,
        metrics: ExecutorMetrics,
        instance: str,
        on_room: Callable[[], None],
    ) -> None:
        """Take the parts, and what to call whenever there may be room for another task."""
        self._broker = broker
        self._pool = pool
        self._seats = seats
        self._settings = settings
        self._metrics = metrics
        self._on_room = on_room
        self._results = Results(broker)
        self._runs = Runs(
            pool=pool,
            seats=seats,
            settings=settings,
            instance=instance,
            announce=broker.announce_soon,
            was_cancelled=self._was_cancelled,
        )
        self._checking: set[asyncio.Task[None]] = set()
        self.hands = Hands(
            work=self._work,
            results=self._results,
            seats=seats,
            metrics=metrics,
            instance=instance,
            ack_wait_s=settings.ack_wait_s,
        )

    @property
    def running(self) -> tuple[RunningTask, ...]:
        """The tasks in sandboxes now."""
        return self._runs.running

    def room(self, lane: str) -> int:
        """How many more tasks of a lane could start this moment."""
        if self.hands.is_draining or (lane == subjects.LARGE_LANE and self._runs.is_tight):
            return 0
        return self._seats.room(lane, self._pool.live)

    async def listen(self) -> None:
        """Hear of cancelled tasks. Needs a connection."""
        await self._broker.nc.listen(subjects.events("cancelled"), self._hear_cancelled)
        self._broker.on_reconnect(self._check_hands)

    def _hear_cancelled(self, event: Msg) -> None:
        """Look before killing: the id may have a new task since, and anybody can publish."""
        task_id = subjects.task_id_of_event(event.subject)
        self.hands.remember_cancelled(task_id)
        self._check_hands(task_id)

    def _check_hands(self, task_id: str | None = None) -> None:
        checking = self.hands.cancel_what_has_ended(task_id)
        task = asyncio.create_task(checking, name="executor.check")
        self._checking.add(task)
        task.add_done_callback(self._checking.discard)

    async def _work(self, hand: Hand) -> None:
        """Bring one task to its result; raises `HandBack` where it should be tried again."""
        self._count(hand.delivery)
        with self._claimed(hand.delivery.lane):
            finished = await self._finish(hand)
        if finished is not None:
            await self._deliver(finished, hand.delivery.digest)

    @contextmanager
    def _claimed(self, lane: str) -> Iterator[None]:
        """Give up the task's claim to a sandbox at the end: the next may start meanwhile."""
        try:
            yield
        finally:
            self._seats.release(lane)
            self._on_room()

    def _count(self, delivery: Delivery) -> None:
        if delivery.number > 1:
            self._metrics.redeliveries.inc()
        elif delivery.is_named_by_caller:
            self._metrics.submitted.labels("subject").inc()

    async def _finish(self, hand: Hand) -> Finished | None:
        """Run the task to a final state, or return None if that is not for this delivery."""
        delivery = hand.delivery = await self._results.recall(hand.delivery)
        may_have = fate.may_have_result(delivery, connected_at=self._broker.connected_at)
        has_result = may_have and await self._results.exist(delivery.task_id)
        max_deliveries = self._settings.max_deliveries
        decision = fate.decide(delivery, max_deliveries=max_deliveries, has_result=has_result)
        if decision is Fate.DROP:
            self._metrics.duplicates.inc()
            return None
        if decision is Fate.EXHAUSTED:
            return self._runs.failed(hand, None, fate.exhausted(delivery))
        return await self._start(hand)

    async def _start(self, hand: Hand) -> Finished | None:
        """Read the submission and run it, here or, where it is misplaced, in its own lane."""
        delivery = hand.delivery
        if not subjects.is_task_id(delivery.task_id):
            return self._runs.failed(hand, None, fate.bad_task_id())
        try:
            submission = read_payload(hand.msg.data, self._settings.limits)
        except QjetError as exc:
            return self._runs.failed(hand, None, fate.refused(exc))
        is_misplaced = delivery.is_named_by_caller and lane_of(submission) == subjects.LARGE_LANE
        if is_misplaced and await self._results.move(delivery, hand.msg.data):
            return None
        return await self._runs.run(hand, submission)

    async def _was_cancelled(self, task_id: str) -> bool:
        """Whether a cancel overtook the delivery; its id may have a new task since."""
        return self.hands.is_cancelled(task_id) and await self._results.exist(task_id)

    async def _deliver(self, finished: Finished, digest: str) -> None:
        task = finished.task
        start = time.perf_counter()
        if not await self._results.deliver(task, finished.outcome, digest):
            self._metrics.duplicates.inc()
            return
        self._metrics.phase_s.labels("deliver").observe(time.perf_counter() - start)
        self._metrics.finished.labels(task.status).inc()
        if task.error:
            self._metrics.errors.labels(task.error.code).inc()
        if task.timings:
            for phase, seconds in msgspec.structs.asdict(task.timings).items():
                self._metrics.phase_s.labels(phase).observe(seconds)
        log.debug("task.finished", extra={"task_id": task.task_id, "status": task.status})
