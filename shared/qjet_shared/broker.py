"""One connection to NATS, made in the background and kept for the life of the process.

A service starts and serves its probes whether or not NATS can be reached; what needs NATS fails
with `BrokerUnavailableError` until it can.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, cast

import nats.aio.client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import BucketNotFoundError
from nats.js.kv import KeyValue

from qjet_shared import subjects
from qjet_shared.errors import BrokerUnavailableError, translated

log = logging.getLogger(__name__)

EXPECT_EMPTY: Final[Mapping[str, str]] = {"Nats-Expected-Last-Subject-Sequence": "0"}
"""Makes JetStream store a message only if its subject has none yet.

Source: https://docs.nats.io/nats-concepts/jetstream/headers
"""

_REQUEST_TIMEOUT_S = 5.0


class TolerantClient(nats.aio.client.Client):
    """nats-py's client, less easily upset.

    A message whose subject or status line is not UTF-8 ends the read loop of the original, and
    comes back with every redelivery: anybody who may publish could stop every service.
    """

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        readable = subject.decode("utf-8", "replace").encode()
        return cast(Msg, super()._build_message(sid, readable, reply, data, headers))

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)
        except (UnicodeDecodeError, IndexError):
            return None


class Broker:
    """The process's connection, and the few ways it speaks over it."""

    def __init__(self, url: str, *, name: str) -> None:
        """Take NATS's address(es), separated by commas, and a name that operators will see."""
        self.nc = TolerantClient()
        self.js: JetStreamContext = self.nc.jetstream(timeout=_REQUEST_TIMEOUT_S)
        self._servers = [part.strip() for part in url.split(",")]
        self._name = name
        self._connecting: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._bucket: KeyValue | None = None
        self._is_closing = False
        self._on_reconnect: list[Callable[[], None]] = []

    @property
    def is_connected(self) -> bool:
        """Whether a message sent now goes out now."""
        return self.nc.is_connected

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
            BrokerUnavailableError, QueueFullError, AlreadyThereError: see `errors.translated`.
        """
        self.require_connection()
        with translated(subject):
            await self.js.publish(subject, payload, headers=dict(headers) if headers else None)

    async def announce(self, subject: str, payload: bytes) -> None:
        """Tell whoever listens now; nothing is stored, and nobody may be listening."""
        with translated(subject):
            await self.nc.publish(subject, payload)

    async def request(self, subject: str, payload: bytes) -> Msg:
        """Ask and wait for one answer.

        Raises:
            BrokerUnavailableError: nobody answered in time.
        """
        self.require_connection()
        with translated(subject):
            return await self.nc.request(subject, payload, timeout=_REQUEST_TIMEOUT_S)

    async def results_bucket(self) -> KeyValue:
        """Return the results bucket.

        Raises:
            BrokerUnavailableError: no connection, or the resultstore has not made it yet.
        """
        self.require_connection()
        if self._bucket is None:
            try:
                with translated(subjects.RESULTS_BUCKET):
                    self._bucket = await self.js.key_value(subjects.RESULTS_BUCKET)
            except BucketNotFoundError as exc:
                raise BrokerUnavailableError("The results bucket does not exist yet.") from exc
        return self._bucket

    def require_connection(self) -> None:
        """Raise `BrokerUnavailableError` at once rather than after a time-out."""
        if not self.nc.is_connected:
            raise BrokerUnavailableError

    async def _connect(self) -> None:
        await self.nc.connect(
            self._servers,
            name=self._name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.5,  # type: ignore[arg-type]  # seconds; a fraction is fine
            connect_timeout=3,
            ping_interval=5,
            max_outstanding_pings=2,
            error_cb=_log_error,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
        )
        log.info("broker.connected")
        self._first.set()

    async def _disconnected(self) -> None:
        if not self._is_closing:
            log.warning("broker.disconnected")

    async def _reconnected(self) -> None:
        log.info("broker.reconnected")
        for callback in self._on_reconnect:
            callback()


async def _log_error(exc: Exception) -> None:
    log.warning("broker.error", extra={"error": str(exc) or type(exc).__name__})
