"""A NATS client that sends any bytes: as subject, as headers, as payload.

Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

import itertools
import json
import socket
import time
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

TIMEOUT_S = 15.0
_CONNECT = {"verbose": False, "headers": True, "no_responders": True, "protocol": 1}
_MESSAGES = {b"MSG", b"HMSG"}


class Message(NamedTuple):
    """A message as the protocol carries it; `headers` is the whole block, or empty."""

    subject: bytes
    headers: bytes
    payload: bytes


class Answer(NamedTuple):
    """An answer as the protocol carries it."""

    headers: bytes
    payload: bytes


class RawNats:
    """One connection; made anew where the server cuts it."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).hostname, urlsplit(url).port
        self._numbers = itertools.count(1)
        self._connect()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def publish(self, message: Message) -> int:
        """Send a message and return the number under which its answer will be found."""
        number = next(self._numbers)
        size = b"%d" % (len(message.headers) + len(message.payload))
        verb = b"PUB"
        if message.headers:
            verb, size = b"HPUB", b"%d %s" % (len(message.headers), size)
        head = b"%s %s fuzz.%d %s\r\n" % (verb, message.subject, number, size)
        self._send(head + message.headers + message.payload + b"\r\n")
        return number

    def settle(self) -> bool:
        """Whether the server has read all that was sent; False where it cut the connection."""
        self._send(b"PING\r\n")
        try:
            while self._next() != b"PONG":
                pass
        except ConnectionError:
            self.close()
            self._connect()
            return False
        return True

    def answer(self, number: int, *, within_s: float = TIMEOUT_S) -> Answer | None:
        """Return the answer to a message, or None where none comes."""
        deadline = time.monotonic() + within_s
        try:
            while number not in self._answers:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                self._next()
        except TimeoutError:
            return None
        finally:
            self._socket.settimeout(TIMEOUT_S)
        return self._answers.pop(number)

    def _connect(self) -> None:
        self._answers: dict[int, Answer] = {}
        self._received = b""
        self._socket = socket.create_connection(self._address, TIMEOUT_S)
        self._send(b"CONNECT %s\r\nSUB fuzz.* 1\r\n" % json.dumps(_CONNECT).encode())

    def _send(self, data: bytes) -> None:
        with suppress(ConnectionError):  # `settle` will say so
            self._socket.sendall(data)

    def _next(self) -> bytes:
        """Take in what the server says next and return its first word; keeps answers."""
        while (end := self._end_of_first()) is None:
            data = self._socket.recv(65_536)
            if not data:
                raise ConnectionResetError
            self._received += data
        said, self._received = self._received[:end], self._received[end:]
        line, _, rest = said.partition(b"\r\n")
        words = line.split()
        if words[0] in _MESSAGES:
            header_size = int(words[-2]) if words[0] == b"HMSG" else 0
            number = int(words[1].rsplit(b".", 1)[1])
            self._answers[number] = Answer(rest[:header_size], rest[header_size:-2])
        return words[0]

    def _end_of_first(self) -> int | None:
        """Return where the first thing the server said ends, if all of it is there."""
        line, found, rest = self._received.partition(b"\r\n")
        if not found:
            return None
        if line.split()[0] not in _MESSAGES:
            return len(line) + 2
        size = int(line.split()[-1]) + 2
        return len(line) + 2 + size if len(rest) >= size else None
