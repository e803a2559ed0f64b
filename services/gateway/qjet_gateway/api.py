"""What the gateway does, whichever door the request came in by.

A broker that goes away for a moment, to be restarted say, is waited for on the caller's behalf.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from qjet_gateway.batch_entrance import BatchEntrance
from qjet_gateway.batches import BatchReader, as_json
from qjet_gateway.cluster import Cluster
from qjet_gateway.errors import NotFoundError
from qjet_gateway.idempotency import checked_key
from qjet_gateway.reader import Reader
from qjet_gateway.submit import Entrance
from qjet_gateway.withdraw import Withdrawals
from qjet_shared.batches import BatchAccepted
from qjet_shared.broker import Broker
from qjet_shared.errors import BrokerUnavailableError
from qjet_shared.ids import new_task_id
from qjet_shared.messages.answers import Accepted
from qjet_shared.messages.submission import Submission
from qjet_shared.retrying import for_a_moment
from qjet_shared.submissions import Limits, read_batch, read_json, read_payload

_MOMENT_S: Final = 0.05
"""Most tasks end within this time, so a long poll waits it out before it asks where the task is."""

T = TypeVar("T")


class Api:
    """The operations of the public contract."""

    def __init__(  # noqa: PLR0913  # all by name
        self,
        *,
        broker: Broker,
        reader: Reader,
        cluster: Cluster,
        entrance: Entrance,
        batch_entrance: BatchEntrance,
        limits: Limits,
        patience_s: float,
    ) -> None:
        """Take the parts, and for how many seconds an absent broker is waited for."""
        self._broker = broker
        self._reader = reader
        self._cluster = cluster
        self._entrance = entrance
        self._batch_entrance = batch_entrance
        self._batches = BatchReader(broker, reader, cluster)
        self._withdrawals = Withdrawals(broker, reader, cluster)
        self._limits = limits
        self._patience_s = patience_s

    async def submit_json(self, body: bytes, *, key: str | None = None) -> Accepted:
        """Accept a JSON submission, once per idempotency key; returns once it is on disk.

        Raises:
            InvalidJsonError, FieldError: the body is not a submission, or the key no key.
            KeyReusedError: the key was used for another submission.
            QueueFullError, BrokerUnavailableError: nothing was accepted; try again.
        """
        return await self._submit(read_json(body, self._limits), body, key, source="http")

    async def submit_payload(self, payload: bytes, *, key: str | None = None) -> Accepted:
        """Accept a NATS payload, JSON or bare OpenQASM. Raises as `submit_json`."""
        return await self._submit(read_payload(payload, self._limits), payload, key, source="nats")

    async def submit_batch(self, body: bytes, *, key: str | None = None) -> BatchAccepted:
        """Accept a JSON batch as a whole, once per idempotency key. Raises as `submit_json`.

        Raises:
            PermanentError: one of its tasks is too large for a message.
        """
        parts = read_batch(body, self._limits)
        if key is None:
            uuid = new_task_id()
            return await self._patiently(lambda: self._batch_entrance.admit(uuid, parts))
        checked = checked_key(key)
        return await self._patiently(lambda: self._batch_entrance.admit_once(checked, parts))

    async def get_batch(
        self, batch_id: str, *, wait_s: float = 0.0, is_full: bool = False
    ) -> AsyncIterator[bytes]:
        """Yield a batch as JSON, piece by piece; wait as `get` does, for all of its tasks.

        Raises:
            NotFoundError: there is no such batch, or nothing of it is left.
            BrokerUnavailableError: the states cannot be read now; also between two pieces.
        """
        survey = await self._patiently(
            lambda: self._batches.survey(batch_id, wait_s=wait_s, is_full=is_full)
        )
        if not is_full:
            yield msgspec.json.encode(survey.state(batch_id))
            return

        def bodies(piece: list[str]) -> Awaitable[bytes]:
            return self._patiently(lambda: self._batches.bodies(survey, piece))

        async for text in as_json(batch_id, survey, bodies):
            yield text

    async def get(self, task_id: str, *, wait_s: float = 0.0) -> bytes:
        """Return the task as JSON, at once or as soon as it is final within `wait_s` seconds.

        Raises:
            NotFoundError: there is no such task.
            BrokerUnavailableError: the state cannot be read now.
        """
        return await self._patiently(lambda: self._get(task_id, wait_s))

    async def get_message(self, task_id: str) -> bytes:
        """Return the task as JSON that fits a message: a large result is named, not contained.

        Raises as `get`.
        """

        async def read() -> bytes:
            found = await self._reader.final(task_id, is_whole=False)
            return found.body if found else await self._get(task_id, 0)

        return await self._patiently(read)

    async def cancel(self, task_id: str) -> bytes:
        """Cancel a task and return it as JSON. Raises as `Withdrawals.cancel`."""
        return await self._patiently(lambda: self._withdrawals.cancel(task_id))

    async def delete(self, task_id: str) -> None:
        """Remove a finished task. Raises as `Withdrawals.delete`."""
        await self._patiently(lambda: self._withdrawals.delete(task_id))

    async def _submit(
        self, submission: Submission, payload: bytes, key: str | None, *, source: str
    ) -> Accepted:
        admit = self._entrance.admit if key is None else self._entrance.admit_once
        name = new_task_id() if key is None else checked_key(key)
        return await self._patiently(lambda: admit(name, submission, payload, source=source))

    async def _get(self, task_id: str, wait_s: float) -> bytes:
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

    async def _patiently(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Try again for a moment, but not if the broker has been away for longer than that."""

        def is_passing(exc: Exception) -> bool:
            is_transient = isinstance(exc, BrokerUnavailableError)
            return is_transient and self._broker.away_s < self._patience_s

        return await for_a_moment(work, on=is_passing, timeout_s=self._patience_s)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` is set now or within `seconds`."""
    if seconds > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
    return event.is_set()
