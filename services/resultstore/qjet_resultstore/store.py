"""Takes results from the stream into the bucket, exactly once per task.

The order of writes is what makes a crash harmless: entry, then event, then acknowledgement. Each
write refuses to happen twice, so a redelivered result only completes what is missing.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec
import nats.errors
from nats.aio.msg import Msg

from qjet_shared import subjects
from qjet_shared.broker import EXPECT_EMPTY, Broker, stored_at
from qjet_shared.errors import AlreadyThereError
from qjet_shared.messages import Event, StoredState, Task, TaskError, utc_now
from qjet_shared.metrics import ResultstoreMetrics
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
                delay_s = (utc_now() - msg.metadata.timestamp).total_seconds()
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
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        self._metrics.invalid.inc()
        log.error("result.invalid", extra={"key": key, "size_bytes": len(data)})
        task = _unreadable(key)
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
            if newest is not None and not marks_deletion(newest):
                self._metrics.duplicates.inc()
                await self._conclude(key, msgspec.json.decode(newest.data, type=StoredState))
                return False
            if newest is None or not _is_after(msg, newest):
                return False  # a result of the task that was deleted
            headers[subjects.EXPECTED_LAST] = (newest.headers or {})[subjects.SEQUENCE]
            await self._broker.publish(subjects.entry(key), entry, headers)
        self._metrics.stored.labels(state.status).inc()
        await self._conclude(key, state)
        return True

    async def _conclude(self, key: str, state: StoredState) -> None:
        """Do what follows from an entry: nobody starts a cancelled task; everybody hears."""
        if state.status == "cancelled":
            await self._broker.withdraw(state.task_id)
        await self._announce(key, state)

    async def _announce(self, key: str, state: StoredState) -> None:
        """Publish the final event, unless it was."""
        event = Event(
            task_id=state.task_id, status=state.status, at=state.finished_at, error=state.error
        )
        subject = subjects.final(key, state.status)
        try:
            await self._broker.publish(subject, msgspec.json.encode(event), EXPECT_EMPTY)
        except AlreadyThereError:
            log.debug("event.repeated", extra={"task_id": state.task_id})


def _is_after(result: Msg, deletion: Msg) -> bool:
    """Whether a result came after its id was freed, so that it is a new task's."""
    deleted_at = stored_at(deletion)
    return deleted_at is not None and result.metadata.timestamp > deleted_at


def _unreadable(key: str) -> Task:
    error = TaskError(code="simulation_failed", message="The executor's result is not readable.")
    return Task(
        task_id=key, status="error", message=error.message, error=error, finished_at=utc_now()
    )
