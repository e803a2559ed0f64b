"""Puts submissions on the task stream: named, in their lane, once per idempotency key."""

import asyncio
from contextlib import suppress

import msgspec
from prometheus_client import Counter

from qjet_gateway import idempotency
from qjet_gateway.cluster import Cluster
from qjet_gateway.reader import Reader
from qjet_shared import subjects
from qjet_shared.broker import EXPECT_EMPTY, Broker
from qjet_shared.clock import utc_now
from qjet_shared.cost import lane_of
from qjet_shared.errors import AlreadyThereError, BrokerUnavailableError
from qjet_shared.messages.answers import Accepted
from qjet_shared.messages.notices import Event
from qjet_shared.messages.submission import Submission


class Entrance:
    """The one way that a gateway lets tasks in."""

    def __init__(
        self, broker: Broker, reader: Reader, cluster: Cluster, submitted: Counter
    ) -> None:
        self._broker = broker
        self._reader = reader
        self._cluster = cluster
        self._submitted = submitted

    async def admit(
        self, task_id: str, submission: Submission, payload: bytes, *, source: str
    ) -> Accepted:
        """Store a submission under a new id. Safe to try again with the same id.

        Raises:
            QueueFullError, BrokerUnavailableError: not accepted, as far as is known.
        """
        headers = {subjects.MSG_ID: task_id}
        await self._store(task_id, submission, payload, headers)
        self._submitted.labels(source).inc()
        return Accepted(task_id=task_id)

    async def admit_once(
        self, key: str, submission: Submission, payload: bytes, *, source: str
    ) -> Accepted:
        """Store a submission under the id of its key, unless it was before. Raises as `admit`.

        Raises:
            KeyReusedError: the key was used for another submission.
        """
        task_id = idempotency.task_id_of_key(key)
        digest = idempotency.digest_of(submission)
        found = await self._reader.read(task_id)
        if found is None:
            await idempotency.claim(self._broker, task_id, digest)
            headers = {**EXPECT_EMPTY, subjects.DIGEST: digest}
            with suppress(AlreadyThereError):  # stored by an earlier try, whose answer was lost
                await self._store(task_id, submission, payload, headers)
                self._submitted.labels(source).inc()
        elif found.digest != digest:
            raise idempotency.KeyReusedError
        return Accepted(task_id=task_id)

    async def _store(
        self, task_id: str, submission: Submission, payload: bytes, headers: dict[str, str]
    ) -> None:
        """Publish the very bytes that were checked: one write, and nothing to encode."""
        subject = subjects.task(lane_of(submission), task_id)
        self._cluster.expect(task_id)
        await asyncio.gather(
            self._broker.publish(subject, payload, headers), self._announce_pending(task_id)
        )

    async def _announce_pending(self, task_id: str) -> None:
        """Tell of the task while the broker still writes it: afterwards, it may already run."""
        event = Event(task_id=task_id, status="pending", at=utc_now())
        subject = subjects.event(task_id, "pending")
        with suppress(BrokerUnavailableError):  # then the submission itself fails, and says so
            await self._broker.announce(subject, msgspec.json.encode(event))
