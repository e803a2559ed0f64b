"""Publishes to one stream: what comes alone at once, what comes in crowds in batches.

Each message that is stored alone is synced to disk alone. So only a few are on their way at a time;
those that come meanwhile wait, and once they are many they go together, as one atomic batch with
one sync. A quiet system pays nothing for it, and a busy one gets the quicker the busier it is.

Measured with nats-server 2.15.1 that syncs always: its processor time for a message of 400 bytes is
52 µs alone, 47 in a batch of 32, 35 of 64, 27 of 128, 17 of 256.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from qjet_shared.errors import BrokerUnavailableError
from qjet_shared.requests import Outgoing

_ALONE: Final = 24
"""Messages that may be on their way by themselves at a time."""

_LEAST: Final = 48
"""Fewer are not worth a batch: it costs the server about a millisecond by itself."""

_MOST: Final = 512
_MOST_BYTES: Final = 1 << 20

PublishAll = Callable[[Sequence[Outgoing]], Awaitable[None]]


class _Waiting(NamedTuple):
    message: Outgoing
    stored: asyncio.Future[None]


class Outbox:
    """What waits to be stored in one stream."""

    def __init__(self, publish_all: PublishAll) -> None:
        """Take how to store messages, all or none."""
        self._publish_all = publish_all
        self._waiting: deque[_Waiting] = deque()
        self._alone = 0
        self._batch: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    async def publish(self, message: Outgoing) -> None:
        """Store a message, alone or with others; returns once it is on disk.

        Raises:
            QjetError: as if it had been stored alone.
        """
        if self._waiting or self._alone >= _ALONE:
            waiting = _Waiting(message, asyncio.get_running_loop().create_future())
            self._waiting.append(waiting)
            self._go_on()
            await waiting.stored
            return
        self._alone += 1
        try:
            await self._publish_all([message])
        finally:
            self._alone -= 1
            self._go_on()

    def _go_on(self) -> None:
        """Send what waits, if it may go now."""
        if self._batch is not None:
            return
        if len(self._waiting) >= _LEAST:
            self._batch = asyncio.create_task(self._publish_batch(self._take()), name="outbox")
            return
        while self._waiting and self._alone < _ALONE:
            self._alone += 1
            self._publish_soon(self._waiting.popleft())

    def _take(self) -> list[_Waiting]:
        """Take as many as may go together, at least one."""
        taken = [self._waiting.popleft()]
        room = _MOST_BYTES - len(taken[0].message.payload)
        while self._waiting and len(taken) < _MOST:
            room -= len(self._waiting[0].message.payload)
            if room < 0:
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _publish_batch(self, batch: list[_Waiting]) -> None:
        """Store messages together; where one of them is refused, each by itself."""
        try:
            await self._publish_all([waiting.message for waiting in batch])
        except BrokerUnavailableError as exc:
            for waiting in batch:
                _fail(waiting, exc)
        except Exception:  # noqa: BLE001  # whatever it is, only some may deserve it
            await asyncio.gather(*map(self._publish_one, batch))
        else:
            for waiting in batch:
                _succeed(waiting)
        finally:
            self._batch = None
            self._go_on()

    def _publish_soon(self, waiting: _Waiting) -> None:
        task = asyncio.create_task(self._publish_one(waiting), name="outbox.alone")
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._alone -= 1
        self._go_on()

    async def _publish_one(self, waiting: _Waiting) -> None:
        try:
            await self._publish_all([waiting.message])
        except Exception as exc:  # noqa: BLE001  # goes to who waits
            _fail(waiting, exc)
        else:
            _succeed(waiting)


def _succeed(waiting: _Waiting) -> None:
    if not waiting.stored.done():
        waiting.stored.set_result(None)


def _fail(waiting: _Waiting, exc: Exception) -> None:
    if not waiting.stored.done():
        waiting.stored.set_exception(exc)
