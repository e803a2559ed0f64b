"""What the gateway does, whichever door the request came in by: submit a task, read a task."""

import asyncio
from contextlib import suppress
from typing import Final

import msgspec
from prometheus_client import Counter

from qjet_gateway.cluster import Cluster
from qjet_gateway.reader import Reader
from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.errors import BrokerUnavailableError, PermanentError
from qjet_shared.ids import new_task_id
from qjet_shared.messages import Accepted, Event, utc_now
from qjet_shared.submissions import Limits, read_json, read_payload

_MOMENT_S: Final = 0.05
"""Most tasks end within this time, so a long poll waits it out before it asks where the task is."""


class NotFoundError(PermanentError):
    """No task with this id was ever submitted, or its result has expired."""

    def __init__(self) -> None:
        super().__init__("not_found", "No task has this id, or its result has expired.")


class Api:
    """The operations of the public contract."""

    def __init__(
        self,
        *,
        broker: Broker,
        reader: Reader,
        cluster: Cluster,
        submitted: Counter,
        limits: Limits,
    ) -> None:
        """Take the parts that the composition root made."""
        self._broker = broker
        self._reader = reader
        self._cluster = cluster
        self._submitted = submitted
        self._limits = limits

    async def submit_json(self, body: bytes) -> Accepted:
        """Accept a JSON submission; returns once it is on disk.

        Raises:
            InvalidJsonError, FieldError: the body is not a submission.
            QueueFullError, BrokerUnavailableError: nothing was accepted; try again.
        """
        read_json(body, self._limits)
        return await self._submit(body, source="http")

    async def submit_payload(self, payload: bytes) -> Accepted:
        """Accept a NATS payload, JSON or bare OpenQASM. Raises as `submit_json`."""
        read_payload(payload, self._limits)
        return await self._submit(payload, source="nats")

    async def get(self, task_id: str, *, wait_s: float = 0.0) -> bytes:
        """Return the task as JSON, at once or as soon as it is final within `wait_s` seconds.

        Raises:
            NotFoundError: there is no such task.
            BrokerUnavailableError: the state cannot be read now.
        """
        with self._cluster.watching(task_id) as changed:
            is_fresh = wait_s > 0 and self._cluster.expects(task_id)
            found = None if is_fresh else await self._reader.final(task_id)
            if found is None and await _set_within(changed, min(wait_s, _MOMENT_S)):
                found = await self._reader.final(task_id)
            found = found or await self._reader.read(task_id)
            if found is not None and not found.is_final and wait_s > _MOMENT_S:
                left_s = wait_s - _MOMENT_S
                found = await self._reader.wait_final(task_id, changed, left_s) or found
        if found is None:
            raise NotFoundError
        return found.body

    async def _submit(self, payload: bytes, *, source: str) -> Accepted:
        """Publish the very bytes that were checked: one write, and nothing to encode."""
        task_id = new_task_id()
        subject = subjects.task(subjects.DEFAULT_LANE, task_id)
        self._cluster.expect(task_id)
        await asyncio.gather(
            self._broker.publish(subject, payload, {"Nats-Msg-Id": task_id}),
            self._announce_pending(task_id),
        )
        self._submitted.labels(source).inc()
        return Accepted(task_id=task_id)

    async def _announce_pending(self, task_id: str) -> None:
        """Tell of the task while the broker still writes it: afterwards, it may already run."""
        event = Event(task_id=task_id, status="pending", at=utc_now())
        subject = subjects.event(task_id, "pending")
        with suppress(BrokerUnavailableError):  # then the submission itself fails, and says so
            await self._broker.announce(subject, msgspec.json.encode(event))


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` is set now or within `seconds`."""
    if seconds > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
    return event.is_set()
