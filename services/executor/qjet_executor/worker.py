"""One task's way through the executor: from its delivery to its acknowledgement.

A task is acknowledged only after its result is on disk in JetStream, and told to be in progress
until then.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.msg import Msg

from qjet_executor import delivery as fate
from qjet_executor import outcomes
from qjet_executor.child import Sandbox, SandboxDiedError
from qjet_executor.delivery import Delivery, Fate
from qjet_executor.pool import Pool
from qjet_executor.protocol import Job, Outcome
from qjet_executor.results import Results
from qjet_executor.settings import ExecutorSettings
from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.errors import QjetError
from qjet_shared.messages import Event, RunningTask, Submission, Task, TaskError, utc_now
from qjet_shared.metrics import ExecutorMetrics
from qjet_shared.submissions import read_payload

log = logging.getLogger(__name__)

_HEARTBEATS_PER_ACK_WAIT = 3
_AFTER_FAULT_S = 5.0


class RetryLater(Exception):  # noqa: N818  # not an error: the task goes back to the queue
    """The task goes back to the queue, to be delivered again after `delay_s` seconds."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(delay_s)
        self.delay_s = delay_s


class Finished(Struct, frozen=True, kw_only=True):
    """What a delivery came to: the final task, and the outcome whose counts it carries."""

    task: Task
    outcome: Outcome | None = None


class Worker:
    """Handles deliveries side by side, one sandbox each."""

    def __init__(
        self,
        *,
        broker: Broker,
        pool: Pool,
        settings: ExecutorSettings,
        metrics: ExecutorMetrics,
        instance: str,
    ) -> None:
        """Take the parts that the composition root made."""
        self._broker = broker
        self._pool = pool
        self._settings = settings
        self._metrics = metrics
        self._instance = instance
        self._results = Results(broker)
        self._handling: dict[asyncio.Task[None], Msg] = {}
        self._unseated = 0
        self._running: dict[str, RunningTask] = {}
        self._is_draining = False
        metrics.in_flight.set_function(lambda: len(self._handling))

    @property
    def room(self) -> int:
        """How many more tasks could start this moment."""
        return 0 if self._is_draining else max(0, self._pool.free - self._unseated)

    @property
    def running(self) -> tuple[RunningTask, ...]:
        """The tasks in sandboxes now."""
        return tuple(self._running.values())

    def accept(self, msg: Msg) -> None:
        """Take on a delivery; it is handled in the background, or goes back while draining."""
        if self._is_draining:
            work = _say(msg.nak())
        else:
            self._unseated += 1
            work = self._handle(msg)
        task = asyncio.create_task(work, name=f"task {msg.subject}")
        self._handling[task] = msg
        task.add_done_callback(self._handling.pop)

    async def keep_in_progress(self) -> None:
        """Tell JetStream, again and again, that the tasks in hand are being worked on."""
        while True:
            await asyncio.sleep(self._settings.ack_wait_s / _HEARTBEATS_PER_ACK_WAIT)
            for msg in list(self._handling.values()):
                await _say(msg.in_progress())

    async def drain(self, timeout_s: float) -> None:
        """Take no more; wait for the tasks in hand, then hand the rest back to the queue."""
        self._is_draining = True
        if self._handling:
            await asyncio.wait(self._handling, timeout=timeout_s)
        rest = dict(self._handling)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for msg in rest.values():
            log.info("task.handed_back", extra={"subject": msg.subject})
            await _say(msg.nak())

    async def _handle(self, msg: Msg) -> None:
        """Bring one delivery to its end: acknowledged, or back in the queue."""
        sandbox = await self._seat()
        delivery = fate.read_delivery(msg)
        self._count(delivery)
        try:
            try:
                finished = await self._finish(delivery, msg.data, sandbox)
            finally:  # the next task may start while this one's result is written
                self._pool.give_back(sandbox)
            if finished is not None:
                await self._deliver(finished)
            await _say(msg.ack())
        except Exception as exc:
            if not isinstance(exc, RetryLater):  # a fault of ours: never hold the task in silence
                log.exception("task.failed", extra={"task_id": delivery.task_id})
                exc = RetryLater(_AFTER_FAULT_S)
            log.warning("task.retry", extra={"task_id": delivery.task_id, "in_s": exc.delay_s})
            await _say(msg.nak(delay=exc.delay_s))

    async def _seat(self) -> Sandbox:
        """Take a sandbox; until then, the delivery counts against the room."""
        try:
            return await self._pool.take()
        finally:
            self._unseated -= 1

    def _count(self, delivery: Delivery) -> None:
        if delivery.attempt > 1:
            self._metrics.redeliveries.inc()
        elif delivery.is_named_by_caller:
            self._metrics.submitted.labels("subject").inc()

    async def _finish(
        self, delivery: Delivery, payload: bytes, sandbox: Sandbox
    ) -> Finished | None:
        """Run the task to a final state, or return None if it has one already."""
        has_result = fate.may_have_result(delivery) and await self._results.exist(delivery.task_id)
        decision = fate.decide(
            attempt=delivery.attempt,
            max_deliveries=self._settings.max_deliveries,
            has_result=has_result,
        )
        if decision is Fate.DROP:
            self._metrics.duplicates.inc()
            return None
        if decision is Fate.EXHAUSTED:
            return self._failed(delivery, None, fate.exhausted(delivery.attempt))
        if not subjects.is_task_id(delivery.task_id):
            return self._failed(delivery, None, fate.bad_task_id())
        try:
            submission = read_payload(payload, self._settings.limits)
        except QjetError as exc:
            return self._failed(delivery, None, fate.refused(exc))
        return await self._simulate(delivery, submission, sandbox)

    async def _simulate(
        self, delivery: Delivery, submission: Submission, sandbox: Sandbox
    ) -> Finished:
        started_at = utc_now()
        timeout_s = submission.timeout_s or self._settings.task_timeout_s
        running = RunningTask(
            task_id=delivery.task_id, started_at=started_at, attempt=delivery.attempt
        )
        try:
            async with self._shown_as(running):
                outcome = await sandbox.run(_job(submission), timeout_s=timeout_s)
        except TimeoutError:
            return self._failed(delivery, submission, fate.time_limit(timeout_s), started_at)
        except SandboxDiedError as exc:
            delay_s = fate.retry_after_death(
                attempt=delivery.attempt, max_attempts=self._settings.max_attempts
            )
            if delay_s is not None:
                raise RetryLater(delay_s) from exc
            error = fate.sandbox_crashed(str(exc), delivery.attempt)
            return self._failed(delivery, submission, error, started_at)
        if outcome.error:
            return self._failed(delivery, submission, outcome.error, started_at)
        task = outcomes.completed(
            delivery, submission, outcome, executor=self._instance, started_at=started_at
        )
        return Finished(task=task, outcome=outcome)

    @asynccontextmanager
    async def _shown_as(self, running: RunningTask) -> AsyncIterator[None]:
        """Announce that a task runs, and list it in the heartbeats until it does not."""
        self._running[running.task_id] = running
        event = Event(
            task_id=running.task_id,
            status="running",
            at=running.started_at,
            executor=self._instance,
            attempt=running.attempt,
        )
        subject = subjects.event(running.task_id, "running")
        try:
            await _say(self._broker.announce(subject, msgspec.json.encode(event)))
            yield
        finally:
            self._running.pop(running.task_id, None)

    async def _deliver(self, finished: Finished) -> None:
        task = finished.task
        if not await self._results.deliver(task, finished.outcome):
            self._metrics.duplicates.inc()
            return
        self._metrics.finished.labels(task.status).inc()
        if task.error:
            self._metrics.errors.labels(task.error.code).inc()
        if task.timings:
            for phase, seconds in msgspec.structs.asdict(task.timings).items():
                self._metrics.phase_s.labels(phase).observe(seconds)
        log.debug("task.finished", extra={"task_id": task.task_id, "status": task.status})

    def _failed(
        self,
        delivery: Delivery,
        submission: Submission | None,
        error: TaskError,
        started_at: datetime | None = None,
    ) -> Finished:
        return Finished(
            task=outcomes.failed(
                delivery, submission, error, executor=self._instance, started_at=started_at
            )
        )


def _job(submission: Submission) -> Job:
    return Job(
        qc=submission.qc,
        shots=submission.shots,
        seed=submission.seed,
        method=submission.method,
        memory=submission.memory,
    )


async def _say(message: Coroutine[Any, Any, None]) -> None:
    """Send something that the broker copes without: lost, the message is delivered again."""
    try:
        await message
    except (nats.errors.Error, QjetError) as exc:
        log.warning("broker.unheard", extra={"error": str(exc) or type(exc).__name__})
