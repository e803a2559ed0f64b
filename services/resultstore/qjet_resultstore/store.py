"""Takes results from the stream into the bucket, exactly once per task.

The order of writes is what makes a crash harmless: entry, then event, then acknowledgement. Each
write refuses to happen twice, so a redelivered result only completes what is missing.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
import nats.errors
from nats.aio.msg import Msg

from qjet_shared import subjects, traces
from qjet_shared.broker import EXPECT_EMPTY, Broker
from qjet_shared.clock import utc_now
from qjet_shared.errors import AlreadyThereError, BrokerUnavailableError
from qjet_shared.messages import UNREADABLE
from qjet_shared.messages.notices import Event
from qjet_shared.messages.task import StoredState, unreadable
from qjet_shared.metrics import ResultstoreMetrics
from qjet_shared.moments import queued_at, stored_at
from qjet_shared.requests import ROOM_FOR_HEADERS, marks_deletion
from qjet_shared.retrying import patiently

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 128


class Store:
    """Stores results side by side, `MOST_AT_ONCE` at most."""

    def __init__(
        self, broker: Broker, metrics: ResultstoreMetrics, on_room: Callable[[], None]
    ) -> None:
        """Take the parts, and what to call whenever there is room for another result."""
        self._broker = broker
        self._on_room = on_room
        self._metrics = metrics
        self._storing: set[asyncio.Task[None]] = set()
        self._latest: dict[str, asyncio.Task[None]] = {}
        self._is_draining = False

    @property
    def room(self) -> int:
        """How many more results it takes on now."""
        return 0 if self._is_draining else MOST_AT_ONCE - len(self._storing)

    def accept(self, msg: Msg) -> None:
        """Take on a result; it is stored in the background, after others of the same task."""
        before = self._latest.get(msg.subject)
        task = asyncio.create_task(self._store(msg, before), name=msg.subject)
        self._latest[msg.subject] = task
        self._storing.add(task)
        task.add_done_callback(self._stored)

    def _stored(self, task: asyncio.Task[None]) -> None:
        self._storing.discard(task)
        if self._latest.get(task.get_name()) is task:
            del self._latest[task.get_name()]
        self._on_room()

    async def drain(self, timeout_s: float) -> None:
        """Take no more and finish what is in hand; the rest will be delivered again."""
        self._is_draining = True
        if self._storing:
            await asyncio.wait(self._storing, timeout=timeout_s)
        for task in self._storing:
            task.cancel()

    async def _store(self, msg: Msg, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        key = subjects.key_of(msg.subject)
        state, entry = self._read(key, msg.data)
        try:
            if await self._settle(key, state, entry, msg):
                delay_s = (utc_now() - queued_at(msg)).total_seconds()
                self._metrics.store_s.observe(delay_s)
            await msg.ack()
        except nats.errors.Error as exc:
            log.warning("broker.unheard", extra={"error": str(exc)})
        except Exception:  # without an acknowledgement, the result is delivered again
            log.exception("result.failed", extra={"key": key})

    def _read(self, key: str, data: bytes) -> tuple[StoredState, bytes]:
        """Read a result; one that cannot be read still ends its task, with an error."""
        try:
            state = msgspec.json.decode(data, type=StoredState)
            if subjects.token(state.task_id) == key and self._fits(data):
                return state, data
        except UNREADABLE:
            pass
        self._metrics.invalid.inc()
        log.error("result.invalid", extra={"key": key, "size_bytes": len(data)})
        task = unreadable(key)
        payload = msgspec.json.encode(task)
        return msgspec.json.decode(payload, type=StoredState), payload

    def _fits(self, entry: bytes) -> bool:
        return len(entry) <= self._broker.nc.max_payload - ROOM_FOR_HEADERS

    @patiently
    async def _settle(self, key: str, state: StoredState, entry: bytes, msg: Msg) -> bool:
        """Write the entry, then the event; False if there was an entry, which then stands."""
        digest = (msg.headers or {}).get(subjects.DIGEST)
        headers = {subjects.DIGEST: digest} if digest else {}
        try:
            await self._broker.publish(subjects.entry(key), entry, {**headers, **EXPECT_EMPTY})
        except AlreadyThereError:
            newest = await self._broker.last(subjects.RESULTS_BUCKET_STREAM, subjects.entry(key))
            if newest is None:
                raise BrokerUnavailableError("An entry expired at this moment.") from None
            if not marks_deletion(newest):
                await self._repeat(key, newest)
                return False
            if _was_deleted(state, msg, newest):
                await self._broker.remove(subjects.RESULTS_STREAM, msg.metadata.sequence.stream)
                return False
            headers[subjects.EXPECTED_LAST] = str(traces.sequence_of(newest))
            await self._broker.publish(subjects.entry(key), entry, headers)
        self._metrics.stored.labels(state.status).inc()
        await self._conclude(key, state)
        return True

    async def _repeat(self, key: str, standing: Msg) -> None:
        """Complete what follows from an entry that stands: a crash may have come in between."""
        self._metrics.duplicates.inc()
        with suppress(*UNREADABLE):  # not ours: nothing follows
            await self._conclude(key, msgspec.json.decode(standing.data, type=StoredState))

    async def _conclude(self, key: str, state: StoredState) -> None:
        """Do what follows from an entry: nobody starts a cancelled task; everybody hears."""
        if state.status == "cancelled":
            waiting = await traces.waiting(self._broker, state.task_id)
            own = [trace for trace, msg in waiting if traces.created_at(msg) == state.created_at]
            await traces.remove(self._broker, own)
        await self._announce(key, state)

    async def _announce(self, key: str, state: StoredState) -> None:
        """Publish the final event, unless it was."""
        event = Event(
            task_id=state.task_id, status=state.status, at=state.finished_at, error=state.error
        )
        subject, payload = subjects.final(key, state.status), msgspec.json.encode(event)
        try:
            await self._broker.publish(subject, payload, EXPECT_EMPTY)
        except AlreadyThereError:
            standing = await self._broker.last(subjects.EVENTS_STREAM, subject)
            if standing is None or standing.data == payload:
                return
            last = str(traces.sequence_of(standing))  # left behind by an earlier task of this id
            with suppress(AlreadyThereError):
                await self._broker.publish(subject, payload, {subjects.EXPECTED_LAST: last})


def _was_deleted(state: StoredState, result: Msg, deletion: Msg) -> bool:
    """Whether a result is of the task that was deleted, rather than of a new one under its id.

    The mark names its task by the moment it was submitted. One that an operator set does not; then
    what came before it was deleted.
    """
    named = (deletion.headers or {}).get(subjects.CREATED_AT)
    if named:
        return state.created_at is None or state.created_at.isoformat() == named
    deleted_at = stored_at(deletion)
    return deleted_at is None or queued_at(result) <= deleted_at
