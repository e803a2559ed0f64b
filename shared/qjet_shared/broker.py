"""One connection to NATS, made in the background and kept for the life of the process.

A service starts and serves its probes whether or not NATS can be reached; what needs NATS fails
with `BrokerUnavailableError` until it can.
"""

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from qjet_shared import subjects
from qjet_shared.client import TolerantClient
from qjet_shared.clock import utc_now
from qjet_shared.errors import BrokerUnavailableError, translated
from qjet_shared.outbox import Outbox
from qjet_shared.reads import Reads
from qjet_shared.requests import TIMEOUT_S, Outgoing, Requests, marks_deletion, require_size

log = logging.getLogger(__name__)

EXPECT_EMPTY: Final[Mapping[str, str]] = {subjects.EXPECTED_LAST: "0"}
"""Makes JetStream store a message only if its subject has none yet.

Source: https://docs.nats.io/nats-concepts/jetstream/headers
"""


_CONNECTION_LOST: Final = 70
"""Exit code; whoever supervises the process starts it again."""

_PING_INTERVAL_S: Final = 1
_MOST_PINGS_UNANSWERED: Final = 2
"""A server that has not answered within two to three seconds is left for another."""

_CONNECT_TIMEOUT_S: Final = 2


class Broker:
    """The process's connection, and the few ways it speaks over it."""

    def __init__(self, url: str, *, name: str) -> None:
        """Take NATS's address(es), separated by commas, and a name that operators will see."""
        self.nc = TolerantClient()
        self.js: JetStreamContext = self.nc.jetstream(timeout=TIMEOUT_S)
        servers = [part.strip() for part in url.split(",")]
        self._servers = random.sample(servers, len(servers))
        self._name = name
        self._connecting: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._requests = Requests(self.nc, on_useless=self._move)
        self._reads = Reads(self.nc, self._requests)
        self._outboxes = {stream: Outbox(self._requests.publish_all) for stream in subjects.STREAMS}
        self._moving: asyncio.Task[None] | None = None
        self._is_closing = False
        self._on_reconnect: list[Callable[[], None]] = []
        self._away_since: float | None = time.monotonic()
        self.connected_at = utc_now()

    @property
    def is_connected(self) -> bool:
        """Whether a message sent now goes out now."""
        return self.nc.is_connected

    @property
    def away_s(self) -> float:
        """For how many seconds NATS has been out of reach; 0 while it can be reached."""
        return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    def start(self) -> None:
        """Begin connecting; keeps trying for ever."""
        self._connecting = asyncio.create_task(self._connect(), name="broker.connect")

    async def first_connection(self) -> None:
        """Wait until NATS was reached once."""
        await self._first.wait()

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each reconnection."""
        self._on_reconnect.append(callback)

    async def close(self) -> None:
        """Send what is buffered and close; gives up after a moment when NATS is away."""
        self._is_closing = True
        if self._connecting:
            self._connecting.cancel()
        try:
            async with asyncio.timeout(2):
                if self.nc.is_connected:
                    await self.nc.flush(1)
        except (TimeoutError, nats.errors.Error):
            log.warning("broker.flush_failed")
        await self.nc.close()

    async def publish(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Store a message in the stream that takes `subject`; returns once it is on disk.

        Raises:
            BrokerUnavailableError, QueueFullError, AlreadyThereError: see `errors.refusal`.
        """
        self.require_connection()
        outbox = self._outboxes[subjects.stream_of(subject)]
        await outbox.publish(Outgoing(subject, payload, headers))

    async def publish_all(self, messages: Sequence[Outgoing]) -> None:
        """Store messages of one stream, all or none; returns once they are on disk.

        Raises:
            BrokerUnavailableError, QueueFullError, AlreadyThereError: as `publish`, if one of them
                would have been refused so.
        """
        self.require_connection()
        await self._requests.publish_all(messages)

    async def announce(self, subject: str, payload: bytes) -> None:
        """Tell whoever listens now; nothing is stored, and nobody may be listening."""
        require_size(self.nc, payload)
        with translated(subject):
            await self.nc.publish(subject, payload)

    def announce_soon(self, subject: str, payload: bytes) -> None:
        """Announce without waiting for anything; lost where the broker is away."""
        if self.nc.is_connected:
            self.nc.send(subject, payload)

    async def last(self, stream: str, subject: str) -> Msg | None:
        """Return the newest message of one subject, or None where there is none.

        Raises:
            BrokerUnavailableError: nobody answered in time.
        """
        self.require_connection()
        return await self._reads.last(stream, subject)

    def last_of(self, stream: str, subjects: Sequence[str]) -> AsyncIterator[Msg]:
        """Yield the newest message of each subject that has one. See `Reads.last_of`.

        Raises as `last`.
        """
        self.require_connection()
        return self._reads.last_of(stream, subjects)

    async def entry(self, key: str) -> Msg | None:
        """Return what the results bucket holds under `key`, or None. Raises as `last`."""
        found = await self.last(subjects.RESULTS_BUCKET_STREAM, subjects.entry(key))
        return None if found is None or marks_deletion(found) else found

    async def remove(self, stream: str, sequence: int) -> None:
        """Remove one message from a stream, if it is still there. Raises as `last`."""
        self.require_connection()
        await self._requests.remove(stream, sequence)

    async def first(self, stream: str, subject: str, *, start: int = 1) -> Msg | None:
        """Return the oldest message of a subject, which may hold wildcards, from `start` on.

        Raises as `last`.
        """
        self.require_connection()
        return await self._reads.first(stream, subject, start=start)

    def require_connection(self) -> None:
        """Raise `BrokerUnavailableError` at once rather than after a time-out."""
        if not self.nc.is_connected:
            raise BrokerUnavailableError

    async def _connect(self) -> None:
        await self.nc.connect(
            self._servers,
            name=self._name,
            max_reconnect_attempts=-1,
            dont_randomize=True,  # the one that was just left comes last
            reconnect_time_wait=0.5,  # type: ignore[arg-type]  # seconds; a fraction is fine
            connect_timeout=_CONNECT_TIMEOUT_S,
            ping_interval=_PING_INTERVAL_S,
            max_outstanding_pings=_MOST_PINGS_UNANSWERED,
            error_cb=_log_error,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
            closed_cb=self._closed,
        )
        log.info("broker.connected")
        self._away_since = None
        self.connected_at = utc_now()
        self._first.set()

    def _move(self) -> None:
        """Try another server: this one is there, but perhaps cut off from those that decide."""
        if len(self._servers) > 1:
            log.warning("broker.useless")
            self._moving = asyncio.create_task(self.nc.force_reconnect(), name="broker.move")

    async def _disconnected(self) -> None:
        if not self._is_closing:
            self._away_since = self._away_since or time.monotonic()
            log.warning("broker.disconnected")

    async def _closed(self) -> None:
        """End the process when nats-py gives up: after some errors it never connects again."""
        if not self._is_closing:
            log.critical("broker.closed", extra={"error": str(self.nc.last_error)})
            logging.shutdown()
            os._exit(_CONNECTION_LOST)

    async def _reconnected(self) -> None:
        self._away_since = None
        self.connected_at = utc_now()
        log.info("broker.reconnected")
        self._reads.give_up()
        await self._requests.ask_again()
        for callback in self._on_reconnect:
            callback()


async def _log_error(exc: Exception) -> None:
    log.warning("broker.error", extra={"error": str(exc) or type(exc).__name__})
