"""A lean HTTP client: it shares the cores with what it measures, so it should cost little.

It speaks as much of HTTP/1.1 as the bench needs: one request at a time on a connection that stays
open, answers with a `Content-Length`.
"""

import asyncio
import re
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import msgspec

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Answer(NamedTuple):
    """A status and a body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return msgspec.json.decode(self.body)


class Connection(asyncio.Protocol, AbstractAsyncContextManager[Any]):
    """A connection to the server at `url`."""

    def __init__(self, url: str) -> None:
        """Take where to connect to; `async with` does it."""
        self._address = urlsplit(url)
        self._data = b""
        self._answered: asyncio.Future[Answer] | None = None
        self._transport: Any = None

    async def __aenter__(self) -> Self:
        """Connect."""
        host, port = self._address.hostname, self._address.port
        self._transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: self, host, port
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        self._transport.close()

    async def get(self, path: str) -> Answer:
        """Send a GET request."""
        return await self._exchange(b"GET %b HTTP/1.1\r\nHost: bench\r\n\r\n" % path.encode())

    async def post(self, path: str, message: Any) -> Answer:
        """Send a POST request with a JSON body."""
        body = msgspec.json.encode(message)
        return await self._exchange(
            b"POST %b HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
        )

    async def _exchange(self, request: bytes) -> Answer:
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def data_received(self, data: bytes) -> None:
        """Collect an answer until it is whole."""
        self._data += data
        head, found, body = self._data.partition(_HEAD_END)
        length = _LENGTH.search(head)
        if not found or self._answered is None:
            return
        if length is None:
            self._answered.set_exception(ConnectionError(f"no Content-Length: {head!r}"))
        elif len(body) >= int(length[1]):
            self._data = b""
            self._answered.set_result(Answer(int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever waits for an answer."""
        if self._answered and not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("the server hung up"))
