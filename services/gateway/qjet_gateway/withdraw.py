"""Ends tasks on request: cancels those that are not finished, deletes those that are.

A cancelled task is one whose result says so. As every task has one result, the first, a cancel
and a completion that meet have one winner, for every reader and for ever. The resultstore stores
it, takes the task out of the queue and announces it; whoever runs the task hears that and stops.
"""

from contextlib import suppress
from typing import Final

import msgspec
from msgspec import UNSET
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError as NotFoundInStoreError

from qjet_gateway.cluster import Cluster
from qjet_gateway.errors import ConflictError, NotFoundError
from qjet_gateway.reader import Reader, read_state
from qjet_shared import subjects, traces
from qjet_shared.broker import EXPECT_EMPTY, Broker
from qjet_shared.clock import utc_now
from qjet_shared.errors import AlreadyThereError, BrokerUnavailableError, translated
from qjet_shared.messages.task import StoredState, Task
from qjet_shared.requests import DELETION

_SETTLE_S: Final = 5.0


class Withdrawals:
    """Cancels and deletes."""

    def __init__(self, broker: Broker, reader: Reader, cluster: Cluster) -> None:
        self._broker = broker
        self._reader = reader
        self._cluster = cluster

    async def cancel(self, task_id: str) -> bytes:
        """Cancel a task and return it as JSON; one that is cancelled already stays so.

        Raises:
            NotFoundError: there is no such task.
            ConflictError: it had finished before.
            BrokerUnavailableError: what became of it is not known yet.
        """
        with self._cluster.watching(task_id) as changed:
            found = await self._reader.read(task_id)
            if found is None:
                raise NotFoundError
            if found.is_final:
                return _cancelled_or_refused(found.body)
            cancelled = _as_cancelled(found.body)
            has_won = await self._decide(task_id, cancelled, found.digest)
            settled = await self._reader.wait_final(task_id, changed, _SETTLE_S)
        if settled is not None and settled.is_final:
            return _cancelled_or_refused(settled.body)
        if has_won:  # the resultstore is away, and can only confirm it
            return cancelled
        raise BrokerUnavailableError("The task has just ended; how is not stored yet.")

    async def delete(self, task_id: str) -> None:
        """Remove a finished task and every trace of it; its id is free again.

        Raises:
            NotFoundError: there is no such task.
            ConflictError: it is not finished.
            BrokerUnavailableError: try again.
        """
        key = subjects.token(task_id)
        entry = await self._broker.entry(key)
        if entry is None:
            if await self._reader.read(task_id):
                raise ConflictError("The task is not finished; cancel it first.")
            raise NotFoundError
        left = await traces.left_by(self._broker, key)
        left += [trace for trace, _ in await traces.waiting(self._broker, task_id)]
        state = read_state(entry.data)
        try:
            await self._mark_deleted(key, entry, state)
        except AlreadyThereError as exc:  # it is gone, or, asked twice, this was the second time
            if await self._broker.entry(key):
                raise ConflictError("The task has changed at this moment; look again.") from exc
        await traces.remove(self._broker, left)
        if state and state.blob is not UNSET:
            await self._delete_blob(state.blob.name)

    async def _decide(self, task_id: str, cancelled: bytes, digest: str) -> bool:
        """Make `cancelled` the task's result; False if it has one already."""
        subject = subjects.result(task_id)
        headers = {**EXPECT_EMPTY, subjects.DIGEST: digest} if digest else EXPECT_EMPTY
        try:
            await self._broker.publish(subject, cancelled, headers)
        except AlreadyThereError:
            key = subjects.token(task_id)
            left = await traces.left_by(self._broker, key)
            if not await traces.has_expired(self._broker, key):
                return False
            await traces.remove(self._broker, left)  # an earlier task of this id left it behind
            return await self._decide(task_id, cancelled, digest)
        return True

    async def _mark_deleted(self, key: str, entry: Msg, state: StoredState | None) -> None:
        """Delete an entry if it is still the newest one, noting whose it was.

        Raises:
            AlreadyThereError: it is not the newest one any more.
        """
        headers = {**DELETION, subjects.EXPECTED_LAST: str(traces.sequence_of(entry))}
        if state and state.created_at:
            headers[subjects.CREATED_AT] = state.created_at.isoformat()
        await self._broker.publish(subjects.entry(key), b"", headers)

    async def _delete_blob(self, name: str) -> None:
        with translated(subjects.BLOBS_BUCKET), suppress(NotFoundInStoreError):
            store = await self._broker.js.object_store(subjects.BLOBS_BUCKET)
            await store.delete(name)


def _as_cancelled(body: bytes) -> bytes:
    task = msgspec.json.decode(body, type=Task)
    return msgspec.json.encode(
        msgspec.structs.replace(
            task, status="cancelled", message="The task was cancelled.", finished_at=utc_now()
        )
    )


def _cancelled_or_refused(body: bytes) -> bytes:
    status = msgspec.json.decode(body, type=StoredState).status
    if status != "cancelled":
        raise ConflictError(f"The task had already finished: {status}.")
    return body
