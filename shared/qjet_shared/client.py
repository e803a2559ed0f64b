"""nats-py's client, less easily upset, and leaner on the way that every message takes.

What every task's messages pass through is done here in one step each: a message that comes is cut
out of the stream of bytes and handed to its handler at once; one that goes is put together and
queued. nats-py takes some five steps and a task switch for either. Connecting, reconnecting and
all else stays nats-py's.

Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import nats.aio.client
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.protocol.parser import Parser

log = logging.getLogger(__name__)

Handler = Callable[[Msg], None]

_LINE_END: Final = b"\r\n"
_LINE_END_SIZE: Final = len(_LINE_END)
_MESSAGE: Final = b"MSG "
_MESSAGE_WITH_HEADERS: Final = b"HMSG "
_WITHOUT_REPLY: Final = {_MESSAGE: 3, _MESSAGE_WITH_HEADERS: 4}
"""How many words follow where nobody asks for a reply; with a reply it is one more."""

_FIRST_HEADER_LINE: Final = "NATS/1.0"
_LARGE_PAYLOAD: Final = 65_536
_NO_WORD: Final = re.compile(r"\s")


class TolerantClient(nats.aio.client.Client):
    """nats-py's client, tolerant and lean.

    A message whose subject or status line is not UTF-8 ends the read loop of the original, and
    comes back with every redelivery: anybody who may publish could stop every service. And where a
    header is broken, it does not see those that the broker adds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ps = _LeanParser(self)
        self._handlers: dict[int, Handler] = {}

    async def listen(self, subject: str, handler: Handler) -> Subscription:
        """Subscribe with a handler that is called as each message comes, and must not block."""
        subscription = await self.subscribe(subject)
        self._handlers[subscription._id] = handler  # noqa: SLF001  # nats-py has no public name for it
        return subscription

    def deliver(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None
    ) -> bool:
        """Hand a message to its handler, if it has one that is called at once."""
        handler = self._handlers.get(sid)
        if handler is None or sid not in self._subs:
            return handler is not None
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        msg = Msg(
            self,
            subject.decode("utf-8", "replace"),
            reply.decode("utf-8", "replace"),
            data,
            read_headers(headers),
        )
        try:
            handler(msg)
        except Exception:  # one message must not end the connection
            log.exception("message.failed", extra={"subject": msg.subject})
        return True

    async def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Queue a message; what is queued together goes out together."""
        if not self._goes_at_once(payload):
            await super().publish(subject, payload, reply, dict(headers) if headers else None)
            return
        self.send(subject, payload, reply, headers)
        if self._pending_data_size > self._max_pending_size:
            await self._flush_pending(force_flush=True)

    def send(
        self,
        subject: str,
        payload: bytes,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Queue a small message at once. Needs a connection."""
        command = message(subject, payload, reply, headers)
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += len(payload)
        self._pending.append(command)
        self._pending_data_size += len(command)
        if self._flush_queue is not None and self._flush_queue.empty():
            self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    def _goes_at_once(self, payload: bytes) -> bool:
        """Whether a message needs none of the original's care: for its size, or what to do now."""
        is_small = len(payload) <= min(_LARGE_PAYLOAD, self._max_payload)
        return is_small and self.is_connected and not self.is_draining

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        readable = subject.decode("utf-8", "replace").encode()
        return cast(Msg, super()._build_message(sid, readable, reply, data, headers))

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        return read_headers(headers)

    async def _attempt_reconnect(self) -> None:
        """Leave without sending the rest: a server that hangs may never take it.

        The original waits for that before it looks for another server.
        """
        self._abort()
        await super()._attempt_reconnect()

    async def _connect_to_server(self, server: Any) -> None:
        """Close what is left of an attempt that failed; the original leaves it open."""
        self._abort()
        await super()._connect_to_server(server)

    def _abort(self) -> None:
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()


class _LeanParser(Parser):
    """Cuts messages out of what the server sends; what is no message goes to the original."""

    def reset(self) -> None:
        super().reset()
        self._parts: list[bytes] = []
        self._missing = 0

    async def parse(self, data: bytes = b"") -> None:
        """Take the next bytes, and handle all messages that are complete with them."""
        parts = self._parts
        parts.append(data)
        self._missing -= len(data)
        if self._missing > 0:  # of a large message: not looked at before it is whole
            return
        buffer = data if len(parts) == 1 else b"".join(parts)
        parts.clear()
        position = 0
        while (line_end := buffer.find(_LINE_END, position)) >= 0:
            start = line_end + _LINE_END_SIZE
            kind = buffer[position : buffer.find(b" ", position, line_end) + 1]
            if kind not in _WITHOUT_REPLY:
                await super().parse(buffer[position:start])
                if self._parts is not parts:  # a new connection: what is left is of the old one
                    return
                position = start
                continue
            subject, sid, *more = buffer[position + len(kind) : line_end].split()
            end = start + int(more[-1])
            if len(buffer) < end + _LINE_END_SIZE:
                self._missing = end + _LINE_END_SIZE - len(buffer)
                break
            has_reply = 2 + len(more) > _WITHOUT_REPLY[kind]
            reply = more[0] if has_reply else b""
            headers_end = start + int(more[-2]) if kind == _MESSAGE_WITH_HEADERS else start
            headers = buffer[start:headers_end] or None
            payload = buffer[headers_end:end]
            position = end + _LINE_END_SIZE
            if not self.nc.deliver(int(sid), subject, reply, payload, headers):
                await self.nc._process_msg(int(sid), subject, reply, payload, headers)  # noqa: SLF001
        if position < len(buffer):
            parts.append(buffer[position:])


def message(
    subject: str, payload: bytes, reply: str = "", headers: Mapping[str, str] | None = None
) -> bytes:
    """Return a message as it goes to the server.

    Raises:
        BadSubjectError, BadHeaderError: it would be more than one message.
    """
    if _NO_WORD.search(subject) or _NO_WORD.search(reply) or not subject:
        raise nats.errors.BadSubjectError
    if not headers:
        return f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + _LINE_END
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if not lines.count("\n") == lines.count("\r") == len(headers):
        raise nats.errors.BadHeaderError(lines)
    block = f"{_FIRST_HEADER_LINE}\r\n{lines}\r\n".encode()
    sizes = f"{len(block)} {len(block) + len(payload)}"
    return f"HPUB {subject} {reply} {sizes}\r\n".encode() + block + payload + _LINE_END


def read_headers(block: bytes | None) -> dict[str, str] | None:
    """Read a header block line by line, whatever it holds.

    A name that comes twice has its last value: what the broker adds, it adds at the end.
    """
    if not block:
        return None
    first, *lines = block.decode("utf-8", "replace").split("\r\n")
    status, _, description = first.removeprefix(_FIRST_HEADER_LINE).strip().partition(" ")
    found = {"Status": status, "Description": description} if status.isdecimal() else {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip()] = value.strip()
    return found or None
