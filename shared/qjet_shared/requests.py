"""Requests to JetStream, as cheap as Python allows, for the calls that every task makes.

nats-py's own are fine for the rest; these leave out its random token, its intermediate classes and
its parsing of times for each call. One inbox serves all: an answer finds its caller by a number in
its subject.

Source: NATS ADR-31 (direct get), https://github.com/nats-io/nats-architecture-and-design
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from qjet_shared import subjects
from qjet_shared.errors import BrokerUnavailableError, PermanentError, refusal, translated

TIMEOUT_S: Final = 5.0
ROOM_FOR_HEADERS: Final = 4096
"""Bytes that a payload leaves free below the broker's limit, so that headers fit beside it."""

_HEADER_FRAME_BYTES: Final = 16
_STATUS: Final = "Status"
_NOT_FOUND: Final = "404"
_NO_RESPONDERS: Final = "503"
_OPERATION: Final = "KV-Operation"
_DELETED: Final = frozenset({"DEL", "PURGE"})
DELETION: Final[Mapping[str, str]] = {_OPERATION: "DEL"}
"""Headers of an entry that says that there is none any more. Source: NATS ADR-8."""


class _Refused(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PubAck(Struct, frozen=True):
    error: _Refused | None = None


_PUB_ACKS: Final = msgspec.json.Decoder(_PubAck)


class Requests:
    """Asks JetStream over one connection, any number of questions at once."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._inbox = ""
        self._serial = 0
        self._waiting: dict[str, asyncio.Future[Msg]] = {}

    async def publish(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None
    ) -> None:
        """Store a message; returns once JetStream says that it is on disk.

        Raises:
            QjetError: as `errors.refusal` and `errors.translated` say.
        """
        require_size(self._nc, payload, headers)
        answer = await self._ask(subject, payload, headers)
        if error := _PUB_ACKS.decode(answer.data).error:
            raise refusal(subject, error.code, error.err_code, error.description)

    async def last(self, stream: str, subject: str) -> Msg | None:
        """Return the newest message of one subject, or None where there is none.

        Raises:
            BrokerUnavailableError: no answer.
        """
        return _stored(await self._ask(f"$JS.API.DIRECT.GET.{stream}.{subject}"))

    async def first(self, stream: str, subject: str) -> Msg | None:
        """Return the oldest message of a subject, which may hold wildcards. Raises as `last`."""
        query = json.dumps({"seq": 1, "next_by_subj": subject}).encode()
        return _stored(await self._ask(f"$JS.API.DIRECT.GET.{stream}", query))

    async def _ask(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Msg:
        if not self._inbox:
            self._inbox = self._nc.new_inbox() + "."
            await self._nc.subscribe(self._inbox + "*", cb=self._receive)
        self._serial += 1
        token = str(self._serial)
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = answer
        reply = self._inbox + token
        try:
            with translated(subject):
                copied = dict(headers) if headers else None
                await self._nc.publish(subject, payload, reply=reply, headers=copied)
                async with asyncio.timeout(TIMEOUT_S):
                    msg = await answer
        finally:
            self._waiting.pop(token, None)
        if _status(msg) == _NO_RESPONDERS:
            raise BrokerUnavailableError("JetStream does not answer, or the stream is missing.")
        return msg

    async def _receive(self, msg: Msg) -> None:
        answer = self._waiting.get(msg.subject.removeprefix(self._inbox))
        if answer is not None and not answer.done():
            answer.set_result(msg)


def _status(msg: Msg) -> str | None:
    """Return the server's own status; a stored message may carry a header of that name too."""
    headers = msg.headers or {}
    return headers.get(_STATUS) if subjects.SEQUENCE not in headers and not msg.data else None


def _stored(msg: Msg) -> Msg | None:
    return None if _status(msg) == _NOT_FOUND else msg


def marks_deletion(entry: Msg) -> bool:
    """Whether a bucket's entry only says that there is none any more. Source: NATS ADR-8."""
    headers = entry.headers or {}
    return headers.get(_OPERATION) in _DELETED or "Nats-Marker-Reason" in headers


def require_size(nc: Client, payload: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Refuse what the server would cut the connection for: it counts headers and payload.

    Raises:
        PermanentError: too large, now and ever.
    """
    size = len(payload)
    if headers:
        size += _HEADER_FRAME_BYTES
        size += sum(len(k.encode()) + len(v.encode()) + 4 for k, v in headers.items())
    if size > nc.max_payload:
        raise PermanentError(
            "payload_too_large",
            f"A message of {size} bytes is larger than the broker's limit of {nc.max_payload}.",
        )
