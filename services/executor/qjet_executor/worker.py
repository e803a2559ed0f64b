"""One task's way through the executor: from its delivery to its result.

A task is acknowledged only after its result is on disk in JetStream. What needs no sandbox is
settled before one is taken.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from qjet_executor import delivery as fate
from qjet_executor import outcomes
from qjet_executor.child import Sandbox, SandboxDiedError
from qjet_executor.delivery import Delivery, Fate
from qjet_executor.hands import Hand, HandBack, Hands
from qjet_executor.need import Need, need_of
from qjet_executor.placement import NeedsMoreError, Placement
from qjet_executor.pool import Pool
from qjet_executor.protocol import Job, Outcome, Phases, Room
from qjet_executor.refusals import out_of_memory
from qjet_executor.results import Results
from qjet_executor.seats import Seats
from qjet_executor.settings import ExecutorSettings
from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.clock import utc_now
from qjet_shared.cost import lane_of
from qjet_shared.errors import QjetError
from qjet_shared.messages.notices import Event, RunningTask
from qjet_shared.messages.submission import Submission
from qjet_shared.messages.task import Ended, Task, TaskError
from qjet_shared.metrics import ExecutorMetrics
from qjet_shared.submissions import read_payload

log = logging.getLogger(__name__)

_SEAT_PATIENCE_S: Final = 5.0


class _HeldUp(Exception):  # noqa: N818  # not an error: the task is run in another sandbox
    """Another task used up the sandbox before this one was started in it."""


class Finished(Struct, frozen=True, kw_only=True):
    """What a delivery came to: the final task, and the outcome whose counts it carries."""

    task: Task
    outcome: Outcome | None = None


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
        self._instance = instance
        self._on_room = on_room
        self._placement = Placement(settings.memory_plan, settings.cores)
        self._results = Results(broker)
        self._running: dict[str, RunningTask] = {}
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
        return tuple(self._running.values())

    def room(self, lane: str) -> int:
        """How many more tasks of a lane could start this moment."""
        if self.hands.is_draining or (lane == subjects.LARGE_LANE and self._placement.is_tight):
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
            return self._failed(hand, None, fate.exhausted(delivery))
        return await self._start(hand)

    async def _start(self, hand: Hand) -> Finished | None:
        """Read the submission and run it, here or, where it is misplaced, in its own lane."""
        delivery = hand.delivery
        if not subjects.is_task_id(delivery.task_id):
            return self._failed(hand, None, fate.bad_task_id())
        try:
            submission = read_payload(hand.msg.data, self._settings.limits)
        except QjetError as exc:
            return self._failed(hand, None, fate.refused(exc))
        is_misplaced = delivery.is_named_by_caller and lane_of(submission) == subjects.LARGE_LANE
        if is_misplaced and await self._results.move(delivery, hand.msg.data):
            return None
        return await self._run(hand, submission)

    async def _run(self, hand: Hand, submission: Submission) -> Finished | None:
        """Run it in the room it seems to need, and again where that was too little, or held up."""
        need = need_of(submission)
        while True:
            try:
                return await self._try(hand, submission, need)
            except NeedsMoreError as exc:
                need = msgspec.structs.replace(
                    need, memory_mb=exc.memory_mb, is_short=False, is_long=True
                )
            except _HeldUp:
                need = msgspec.structs.replace(need, is_short=False)

    async def _try(self, hand: Hand, submission: Submission, need: Need) -> Finished | None:
        if (room := self._placement.own_room(need)) is not None:
            return await self._seat(hand, submission, need, room)
        async with self._placement.room_for(need) as room:
            return await self._seat(hand, submission, need, room)

    async def _seat(
        self, hand: Hand, submission: Submission, need: Need, room: Room
    ) -> Finished | None:
        """Run it in a sandbox that it has for itself or, where it is short, shares with others."""
        shares = need.is_short and self._seats.rides > 1
        lane = hand.delivery.lane
        sandbox = self._pool.take_now(lane, shares=shares) or await self._free_one(
            lane, shares=shares
        )
        hand.sandbox = sandbox
        try:
            if await self._was_cancelled(hand.delivery.task_id):
                return None
            return await self._simulate(hand, submission, sandbox, room)
        finally:
            hand.sandbox = None
            if sandbox.unfit_for and not shares:
                await sandbox.kill()  # its memory is free before somebody else is granted it
            self._pool.give_back(sandbox)

    async def _free_one(self, lane: str, *, shares: bool) -> Sandbox:
        """Wait for a sandbox; where none gets free soon, somebody else may have one."""
        try:
            async with asyncio.timeout(_SEAT_PATIENCE_S):
                return await self._pool.take(lane, shares=shares)
        except TimeoutError as exc:
            raise HandBack("not_started", "No sandbox was free.") from exc

    async def _was_cancelled(self, task_id: str) -> bool:
        """Whether a cancel overtook the delivery; its id may have a new task since."""
        return self.hands.is_cancelled(task_id) and await self._results.exist(task_id)

    async def _simulate(
        self, hand: Hand, submission: Submission, sandbox: Sandbox, room: Room
    ) -> Finished | None:
        timeout_s = submission.timeout_s or self._settings.task_timeout_s
        hand.job = _job(submission, room)
        try:
            outcome = await sandbox.run(
                hand.job, timeout_s=timeout_s, on_start=lambda: self._show_as_running(hand)
            )
        except TimeoutError:
            return self._failed(hand, submission, fate.time_limit(timeout_s))
        except SandboxDiedError as exc:
            if exc.reason == "bystander":
                raise _HeldUp from exc
            return self._after_death(hand, submission, exc, room)
        finally:
            self._running.pop(hand.delivery.task_id, None)
        if outcome.needs_mb:
            raise NeedsMoreError(outcome.needs_mb)
        self._take_note(hand)
        if outcome.error:
            return self._failed(hand, submission, outcome.error, outcome.phases)
        task = outcomes.completed(
            hand.delivery,
            submission,
            outcome,
            executor=self._instance,
            started_at=hand.started_at or utc_now(),
        )
        return Finished(task=task, outcome=outcome)

    def _after_death(
        self, hand: Hand, submission: Submission, death: SandboxDiedError, room: Room
    ) -> Finished | None:
        """Decide on a task whose sandbox died under it."""
        if death.reason == "cancelled":
            return None
        if death.reason == "memory":
            return self._failed(hand, submission, out_of_memory(room.memory_mb))
        delay_s = fate.retry_after_death(
            hand.delivery, death.reason, max_attempts=self._settings.max_attempts
        )
        if delay_s is not None:
            ended: Ended = "killed" if death.reason == "killed" else "crashed"
            raise HandBack(ended, str(death), delay_s=delay_s) from death
        return self._failed(hand, submission, fate.sandbox_crashed(str(death), hand.delivery))

    def _take_note(self, hand: Hand) -> None:
        """Learn from a small task how long such take."""
        if hand.delivery.lane == subjects.DEFAULT_LANE and hand.started_at:
            self._seats.took((utc_now() - hand.started_at).total_seconds())

    def _show_as_running(self, hand: Hand) -> None:
        """Announce that a task runs, and list it in the heartbeats."""
        hand.started_at = utc_now()
        running = RunningTask(
            task_id=hand.delivery.task_id,
            started_at=hand.started_at,
            attempt=hand.delivery.attempt,
        )
        self._running[running.task_id] = running
        event = Event(
            task_id=running.task_id,
            status="running",
            at=running.started_at,
            executor=self._instance,
            attempt=running.attempt,
        )
        subject = subjects.event(running.task_id, "running")
        self._broker.announce_soon(subject, msgspec.json.encode(event))

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

    def _failed(
        self,
        hand: Hand,
        submission: Submission | None,
        error: TaskError,
        phases: Phases | None = None,
    ) -> Finished:
        task = outcomes.failed(
            hand.delivery,
            submission,
            error,
            executor=self._instance,
            started_at=hand.started_at,
            phases=phases,
        )
        return Finished(task=task)


def _job(submission: Submission, room: Room) -> Job:
    return Job(
        qc=submission.qc,
        shots=submission.shots,
        seed=submission.seed,
        method=submission.method,
        memory=submission.memory,
        precision=submission.precision,
        method_options=submission.method_options,
        noise_model=submission.noise_model,
        observables=submission.observables,
        parameters=submission.parameters,
        room=room,
    )
