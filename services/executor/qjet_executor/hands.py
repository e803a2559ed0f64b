"""The deliveries in hand: kept in progress, acknowledged at their end, or handed back.

What is done with one in between is `worker`'s matter.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import nats.errors
from nats.aio.msg import Msg

from qjet_executor.child import Sandbox
from qjet_executor.delivery import Delivery, read_delivery
from qjet_executor.protocol import Job
from qjet_executor.results import Results
from qjet_executor.seats import Seats
from qjet_shared.clock import utc_now
from qjet_shared.errors import QjetError
from qjet_shared.messages.task import Attempt, Ended
from qjet_shared.metrics import ExecutorMetrics

log = logging.getLogger(__name__)

_HEARTBEATS_PER_ACK_WAIT: Final = 3
_AFTER_FAULT_S: Final = 5.0
_HAND_BACK_S: Final = 3.0
_MOST_REMEMBERED: Final = 10_000


class HandBack(Exception):  # noqa: N818  # not an error: the task goes back to the queue
    """The task goes back to the queue, to be delivered again after `delay_s` seconds."""

    def __init__(self, ended: Ended, detail: str = "", *, delay_s: float = 0.0) -> None:
        super().__init__(detail)
        self.ended: Ended = ended
        self.detail = detail
        self.delay_s = delay_s


@dataclass(eq=False, kw_only=True)
class Hand:
    """A delivery that this executor holds, and the sandbox it runs in once it does."""

    msg: Msg
    delivery: Delivery
    sandbox: Sandbox | None = None
    job: Job | None = None
    started_at: datetime | None = None


class Hands:
    """Holds deliveries side by side."""

    def __init__(  # noqa: PLR0913  # all by name
        self,
        *,
        work: Callable[[Hand], Awaitable[None]],
        results: Results,
        seats: Seats,
        metrics: ExecutorMetrics,
        instance: str,
        ack_wait_s: float,
    ) -> None:
        """Take what to do with a delivery: `work` returns once it may be acknowledged."""
        self._work = work
        self._results = results
        self._seats = seats
        self._instance = instance
        self._ack_wait_s = ack_wait_s
        self._held: dict[asyncio.Task[None], Hand] = {}
        self._cancelled: dict[str, None] = {}
        self.is_draining = False
        metrics.in_flight.set_function(lambda: len(self._held))

    def accept(self, msg: Msg) -> None:
        """Take on a delivery; it is handled in the background, or goes back while draining."""
        hand = Hand(msg=msg, delivery=read_delivery(msg))
        if self.is_draining:
            work = self._hand_back(hand, HandBack("not_started"))
        else:
            self._seats.claim(hand.delivery.lane)
            work = self._handle(hand)
        task = asyncio.create_task(work, name=f"task {msg.subject}")
        self._held[task] = hand
        task.add_done_callback(self._held.pop)

    def is_cancelled(self, task_id: str) -> bool:
        """Whether a task was announced cancelled lately."""
        return task_id in self._cancelled

    def remember_cancelled(self, task_id: str) -> None:
        """Keep in mind that a task was cancelled, for its delivery may still be on its way."""
        self._cancelled[task_id] = None
        if len(self._cancelled) > _MOST_REMEMBERED:
            del self._cancelled[next(iter(self._cancelled))]

    async def cancel_what_has_ended(self, task_id: str | None = None) -> None:
        """Kill the sandboxes of tasks that have a result: of one task, or of any that runs here.

        After a cut connection any may have been cancelled unheard.
        """
        for hand in list(self._held.values()):
            own_id, sandbox = hand.delivery.task_id, hand.sandbox
            if sandbox is None or task_id not in (None, own_id):
                continue
            if await self._results.exist(own_id) and hand.sandbox is sandbox and hand.job:
                sandbox.cancel(hand.job)

    async def keep_in_progress(self) -> None:
        """Tell JetStream, again and again, that the tasks in hand are being worked on."""
        while True:
            await asyncio.sleep(self._ack_wait_s / _HEARTBEATS_PER_ACK_WAIT)
            for hand in list(self._held.values()):
                await say(hand.msg.in_progress())

    async def drain(self, timeout_s: float) -> None:
        """Take no more; wait for the tasks in hand, then hand the rest back to the queue."""
        self.is_draining = True
        if self._held:
            await asyncio.wait(self._held, timeout=timeout_s)
        rest = dict(self._held)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.gather(*(self._hand_back_soon(hand) for hand in rest.values()))

    async def _handle(self, hand: Hand) -> None:
        """Bring one delivery to its end: acknowledged, or back in the queue."""
        try:
            await self._work(hand)
        except HandBack as exc:
            await self._hand_back(hand, exc)
        except Exception:  # a fault of ours: never hold the task in silence
            log.exception("task.failed", extra={"task_id": hand.delivery.task_id})
            await say(hand.msg.nak(delay=_AFTER_FAULT_S))
        else:
            await say(hand.msg.ack())

    async def _hand_back(self, hand: Hand, why: HandBack) -> None:
        """Note why, then give the task to whoever asks next."""
        extra = {"task_id": hand.delivery.task_id, "why": why.ended, "in_s": why.delay_s}
        log.warning("task.handed_back", extra=extra)
        attempt = Attempt(
            delivery=hand.delivery.number,
            ended=why.ended,
            at=utc_now(),
            executor=self._instance,
            detail=why.detail,
        )
        await self._results.remember(hand.delivery, attempt)
        await say(hand.msg.nak(delay=why.delay_s))

    async def _hand_back_soon(self, hand: Hand) -> None:
        """Hand back while stopping; without a broker there is nobody to hand it to."""
        ended: Ended = "handed_back" if hand.started_at else "not_started"
        try:
            async with asyncio.timeout(_HAND_BACK_S):
                await self._hand_back(hand, HandBack(ended))
        except TimeoutError:
            log.warning("task.not_handed_back", extra={"task_id": hand.delivery.task_id})


async def say(message: Coroutine[Any, Any, None]) -> None:
    """Send something that the broker copes without: lost, the message is delivered again."""
    try:
        await message
    except (nats.errors.Error, QjetError) as exc:
        log.warning("broker.unheard", extra={"error": str(exc) or type(exc).__name__})
