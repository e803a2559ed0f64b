"""Delivers final states: to the results stream, once per task, and large ones by way of a blob."""

import logging

import msgspec

from qjet_executor.outcomes import large_part, without_counts
from qjet_executor.protocol import Outcome
from qjet_shared import subjects
from qjet_shared.broker import EXPECT_EMPTY, Broker
from qjet_shared.errors import AlreadyThereError, translated
from qjet_shared.ids import new_task_id
from qjet_shared.messages import Blob, Task
from qjet_shared.requests import ROOM_FOR_HEADERS
from qjet_shared.retrying import patiently

log = logging.getLogger(__name__)


class Results:
    """The executor's way to the results stream."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @patiently
    async def exist(self, task_id: str) -> bool:
        """Whether the task already has its result."""
        return bool(await self._broker.last(subjects.RESULTS_STREAM, subjects.result(task_id)))

    @patiently
    async def deliver(self, task: Task, outcome: Outcome | None) -> bool:
        """Store `task` as the final state; returns once it is on disk.

        Returns False if the task had a result before, which then stands.
        """
        payload = msgspec.json.encode(task)
        if outcome and len(payload) > self._broker.nc.max_payload - ROOM_FOR_HEADERS:
            payload = await self._move_to_blob(task, outcome)
        try:
            await self._broker.publish(subjects.result(task.task_id), payload, EXPECT_EMPTY)
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
