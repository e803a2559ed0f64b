"""Delivers final states: to the results stream, once per task, and large ones by way of a blob.

Also keeps, for tasks that came back, what became of the attempts before.
"""

import logging
from typing import Final

import msgspec

from qjet_executor.delivery import Delivery
from qjet_executor.outcomes import large_part, without_counts
from qjet_executor.protocol import Outcome
from qjet_shared import subjects, traces
from qjet_shared.broker import EXPECT_EMPTY, Broker
from qjet_shared.errors import AlreadyThereError, QueueFullError, translated
from qjet_shared.ids import new_task_id
from qjet_shared.messages import UNREADABLE
from qjet_shared.messages.task import Attempt, Blob, Task
from qjet_shared.requests import ROOM_FOR_HEADERS
from qjet_shared.retrying import patiently

log = logging.getLogger(__name__)

_HISTORY: Final = msgspec.json.Decoder(tuple[Attempt, ...])
_LONGEST_HISTORY: Final = 50


class Results:
    """The executor's way to the results stream."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @patiently
    async def exist(self, task_id: str) -> bool:
        """Whether the task has its result, on its way to the bucket or there already.

        One that was in the bucket and is there no more has expired or was deleted: the traces it
        left are removed, for its id is free again.
        """
        if not await self._broker.last(subjects.RESULTS_STREAM, subjects.result(task_id)):
            return False
        key = subjects.token(task_id)
        left = await traces.left_by(self._broker, key)
        if not await traces.has_expired(self._broker, key):
            return True
        await traces.remove(self._broker, left)
        return False

    @patiently
    async def move(self, delivery: Delivery, payload: bytes) -> bool:
        """Put a large task, whose lane its caller could not know, where the large ones wait.

        Returns False where the queue has no room even for that: then it runs where it is.
        """
        headers = {**EXPECT_EMPTY, subjects.CREATED_AT: delivery.created_at.isoformat()}
        subject = subjects.task(subjects.LARGE_LANE, delivery.task_id)
        try:
            await self._broker.publish(subject, payload, headers)
        except AlreadyThereError:
            log.debug("task.moved_before", extra={"task_id": delivery.task_id})
        except QueueFullError:
            return False
        return True

    async def recall(self, delivery: Delivery) -> Delivery:
        """Return the delivery with its history, if it was delivered before."""
        if delivery.number == 1:
            return delivery
        return msgspec.structs.replace(delivery, history=await self._history(delivery.task_id))

    @patiently
    async def remember(self, delivery: Delivery, attempt: Attempt) -> None:
        """Add an attempt that came to nothing to the task's history."""
        before = await self._history(delivery.task_id) if delivery.number > 1 else ()
        history = (*before, attempt)[-_LONGEST_HISTORY:]
        subject = subjects.history_of(subjects.token(delivery.task_id))
        await self._broker.publish(subject, msgspec.json.encode(history))

    @patiently
    async def _history(self, task_id: str) -> tuple[Attempt, ...]:
        subject = subjects.history_of(subjects.token(task_id))
        found = await self._broker.last(subjects.EVENTS_STREAM, subject)
        try:
            return _HISTORY.decode(found.data) if found else ()
        except UNREADABLE:  # not ours: nothing is known then
            return ()

    @patiently
    async def deliver(self, task: Task, outcome: Outcome | None, digest: str) -> bool:
        """Store `task` as the final state; returns once it is on disk.

        Returns False if the task had a result before, which then stands.
        """
        payload = msgspec.json.encode(task)
        if outcome and len(payload) > self._broker.nc.max_payload - ROOM_FOR_HEADERS:
            payload = await self._move_to_blob(task, outcome)
        headers = {**EXPECT_EMPTY, subjects.DIGEST: digest} if digest else EXPECT_EMPTY
        try:
            await self._broker.publish(subjects.result(task.task_id), payload, headers)
        except AlreadyThereError:
            return False
        return True

    async def _move_to_blob(self, task: Task, outcome: Outcome) -> bytes:
        """Store the large part under a name that no other run of the task uses."""
        self._broker.require_connection()
        data = large_part(outcome)
        blob = Blob(name=f"{task.task_id}.{new_task_id()}", size_bytes=len(data))
        with translated(subjects.BLOBS_BUCKET):
            store = await self._broker.js.object_store(subjects.BLOBS_BUCKET)
            await store.put(blob.name, data)
        log.debug("result.blob", extra={"task_id": task.task_id, "size_bytes": len(data)})
        return msgspec.json.encode(without_counts(task, blob))
