"""Puts the tasks of a batch on the task stream: all of them or none, once per idempotency key."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec
from prometheus_client import Counter

from qjet_gateway import idempotency
from qjet_gateway.cluster import Cluster
from qjet_gateway.survey import Survey
from qjet_shared import subjects
from qjet_shared.batches import BatchAccepted, BatchName
from qjet_shared.broker import EXPECT_EMPTY, Broker
from qjet_shared.clock import utc_now
from qjet_shared.cost import lane_of
from qjet_shared.errors import AlreadyThereError, BrokerUnavailableError, PermanentError
from qjet_shared.messages.notices import Event
from qjet_shared.requests import ROOM_FOR_HEADERS, Outgoing
from qjet_shared.submissions import Part

_AT_ONCE: Final = 16
"""Batches on their way at a time; the broker takes 50 for a stream, from all gateways together.

Source: nats-server `server/stream.go`, streamDefaultMaxAtomicBatchInflightPerStream.
"""


class BatchEntrance:
    """The one way that a gateway lets batches in."""

    def __init__(self, broker: Broker, cluster: Cluster, submitted: Counter) -> None:
        self._broker = broker
        self._cluster = cluster
        self._submitted = submitted
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def admit(self, uuid: str, parts: Sequence[Part]) -> BatchAccepted:
        """Store a batch under a new name. Safe to try again with the same name.

        Raises:
            PermanentError: a task is too large for a message.
            QueueFullError, BrokerUnavailableError: not accepted, as far as is known.
        """
        batch = BatchName(uuid, len(parts))
        outgoing = self._outgoing(batch, parts, {})
        outgoing[-1] = outgoing[-1]._replace(headers={subjects.MSG_ID: batch.batch_id})
        return await self._store(batch, outgoing)

    async def admit_once(self, key: str, parts: Sequence[Part]) -> BatchAccepted:
        """Store a batch under the name of its key, unless it was before. Raises as `admit`.

        Raises:
            KeyReusedError: the key was used for another batch.
        """
        batch = BatchName(idempotency.batch_uuid_of_key(key), len(parts))
        digest = idempotency.digest_of_all([part.submission for part in parts])
        survey = Survey(self._broker, self._cluster, batch.task_ids)
        await survey.look()
        if survey.digests - {digest}:
            raise idempotency.KeyReusedError
        if survey.digests:
            return _accepted(batch)
        await idempotency.claim(self._broker, batch.uuid, digest)
        headers = {**EXPECT_EMPTY, subjects.DIGEST: digest}
        return await self._store(batch, self._outgoing(batch, parts, headers))

    def _outgoing(
        self, batch: BatchName, parts: Sequence[Part], headers: Mapping[str, str]
    ) -> list[Outgoing]:
        """Build the messages: the very bytes that were checked.

        Raises:
            PermanentError: as `admit`.
        """
        largest_bytes = self._broker.nc.max_payload - ROOM_FOR_HEADERS
        for index, part in enumerate(parts):
            if len(part.payload) > largest_bytes:
                text = f"tasks[{index}] has {len(part.payload)} bytes; at most {largest_bytes} fit."
                raise PermanentError("payload_too_large", text)
        return [
            Outgoing(subjects.task(lane_of(part.submission), task_id), part.payload, headers)
            for task_id, part in zip(batch.task_ids, parts, strict=True)
        ]

    async def _store(self, batch: BatchName, outgoing: Sequence[Outgoing]) -> BatchAccepted:
        accepted = _accepted(batch)
        for task_id in accepted.task_ids:
            self._cluster.expect(task_id)
        async with self._turn:
            await self._announce_pending(accepted.task_ids)
            with suppress(AlreadyThereError):  # stored by an earlier try, whose answer was lost
                await self._broker.publish_all(outgoing)
                self._submitted.labels("http").inc(batch.size)
        return accepted

    async def _announce_pending(self, task_ids: Sequence[str]) -> None:
        """Tell of the tasks before they are stored: afterwards, they may already run."""
        now = utc_now()
        with suppress(BrokerUnavailableError):  # then the batch itself fails, and says so
            for task_id in task_ids:
                event = msgspec.json.encode(Event(task_id=task_id, status="pending", at=now))
                await self._broker.announce(subjects.event(task_id, "pending"), event)


def _accepted(batch: BatchName) -> BatchAccepted:
    return BatchAccepted(batch_id=batch.batch_id, task_ids=tuple(batch.task_ids))
