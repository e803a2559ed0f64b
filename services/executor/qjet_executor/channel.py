"""The socket between the executor and a sandbox: frames out, frames in."""

import asyncio
from collections.abc import Callable
from typing import cast

from qjet_executor.protocol import HEADER, Job, frame


class Channel(asyncio.Protocol):
    """The socket to the process: frames out, and frames in as they are complete."""

    def __init__(self, on_frame: Callable[[bytes], None]) -> None:
        """Take what to do with the body of each frame."""
        self._on_frame = on_frame
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._outgoing: list[bytes] = []
        self.is_closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def send(self, job: Job) -> None:
        """Send a job, together with all others that come before anything else happens."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(frame(job))

    def _flush(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def data_received(self, data: bytes) -> None:
        """Hand on each frame that is complete now."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            end = HEADER.size + HEADER.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            complete = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            self._on_frame(complete)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the process's end tells more
        """Let `is_closed` be known: nothing comes any more."""
        self.is_closed.set()

    def close(self) -> None:
        """Close the socket."""
        if self._transport:
            self._transport.close()
