"""Takes messages from a pull consumer, never more than the caller has room for.

nats-py's `fetch` gathers a batch before it returns and, cancelled, leaves an orphaned request
behind. Here messages are handed on as they arrive, room that opens is asked for at once, and a
request that went quiet is asked for again.

Source: pull requests and their status messages, NATS ADR-13
https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-13.md
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from qjet_shared.broker import Broker

log = logging.getLogger(__name__)

_EXPIRES_S: Final = 30.0
_HEARTBEAT_S: Final = 2.0
_QUIET_S: Final = 3 * _HEARTBEAT_S
_RETRY_S: Final = 0.5
_NANOSECOND: Final = 1_000_000_000
_HEARTBEAT_STATUS: Final = "100"


class Puller:
    """A steady flow from one durable consumer into `handle`, throttled by `room`."""

    def __init__(  # noqa: PLR0913  # all but one by name
        self,
        broker: Broker,
        *,
        stream: str,
        consumer: str,
        room: Callable[[], int],
        handle: Callable[[Msg], None],
        least: Callable[[], int] = lambda: 1,
    ) -> None:
        """Take what to pull from; `room` tells how many more messages the caller can take now.

        While requests are open, room below `least` is not worth another one.
        """
        self._broker = broker
        self._leader_subject = f"$JS.EVENT.ADVISORY.CONSUMER.LEADER_ELECTED.{stream}.{consumer}"
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._room = room
        self._handle = handle
        self._least = least
        self._wake = asyncio.Event()
        self._requested = 0
        self._heard_at = 0.0
        self._inbox = ""
        self._serial = 0
        self._subscription: Subscription | None = None
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Subscribe and begin to ask. Needs a connection."""
        self._inbox = self._broker.nc.new_inbox()
        self._subscription = await self._broker.nc.listen(f"{self._inbox}.*", self._receive)
        await self._broker.nc.listen(self._leader_subject, self._hear_of_leader)
        self._broker.on_reconnect(self._forget_requests)
        self._loop_task = asyncio.create_task(self._keep_asking(), name="puller")

    def wake(self) -> None:
        """Tell that there may be more room."""
        self._wake.set()

    async def stop(self) -> None:
        """Ask for nothing more; what the server had already sent still reaches `handle`."""
        if self._loop_task:
            self._loop_task.cancel()
        if self._subscription and self._broker.is_connected:
            await self._subscription.drain()  # type: ignore[no-untyped-call]

    async def _keep_asking(self) -> None:
        while True:
            self._wake.clear()
            self._forget_quiet_requests()
            missing = self._room() - self._requested
            worth_it = missing >= (self._least() if self._requested else 1)
            if worth_it and self._broker.is_connected:
                await self._ask(missing)
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _ask(self, batch: int) -> None:
        request = {
            "batch": batch,
            "expires": int(_EXPIRES_S * _NANOSECOND),
            "idle_heartbeat": int(_HEARTBEAT_S * _NANOSECOND),
        }
        if self._requested == 0:
            self._heard_at = asyncio.get_running_loop().time()
        self._requested += batch
        self._serial += 1
        reply = f"{self._inbox}.{self._serial}"
        await self._broker.nc.publish(self._next_subject, json.dumps(request).encode(), reply=reply)

    def _receive(self, msg: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if not msg.subject.startswith(self._inbox):  # a stored message keeps its own subject
            self._requested = max(0, self._requested - 1)
            self._handle(msg)
        elif (msg.headers or {}).get("Status") != _HEARTBEAT_STATUS:
            self._end_request(msg)

    def _end_request(self, msg: Msg) -> None:
        """A request ended unfilled: it expired, or, without a header that counts, was refused."""
        headers = msg.headers or {}
        rest = headers.get("Nats-Pending-Messages")
        if rest is not None:
            self._requested = max(0, self._requested - int(rest))
            self.wake()
            return
        log.warning("pull.refused", extra={"reason": headers.get("Description", "")})
        self._requested = 0
        asyncio.get_running_loop().call_later(_RETRY_S, self.wake)

    def _forget_quiet_requests(self) -> None:
        quiet_s = asyncio.get_running_loop().time() - self._heard_at
        if self._requested and quiet_s > _QUIET_S:
            log.warning("pull.quiet", extra={"quiet_s": round(quiet_s, 1)})
            self._requested = 0

    def _hear_of_leader(self, _: Msg) -> None:
        """A new leader knows nothing of the requests that the last one had."""
        self._forget_requests()

    def _forget_requests(self) -> None:
        """The server forgets a connection's requests when it breaks; so do we."""
        self._requested = 0
        self.wake()
