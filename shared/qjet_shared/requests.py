"""Requests to JetStream, as cheap as Python allows, for the calls that every task makes.

nats-py's own are fine for the rest; these leave out its random token, its intermediate classes and
its parsing of times for each call. One inbox serves all: an answer finds its caller by a number in
its subject.

Reads are direct where the stream allows it. A stream with copies does not, for any copy would
answer, also one that has not heard of the last messages; then the stream's leader is asked.

Source: NATS ADR-31 (direct get), https://github.com/nats-io/nats-architecture-and-design
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from qjet_shared import subjects
from qjet_shared.errors import (
    BrokerUnavailableError,
    PermanentError,
    QjetError,
    refusal,
    translated,
)

TIMEOUT_S: Final = 5.0
ROOM_FOR_HEADERS: Final = 4096
"""Bytes that a payload leaves free below the broker's limit, so that headers fit beside it."""

_HEADER_FRAME_BYTES: Final = 16
_STATUS: Final = "Status"
_TIME_STAMP: Final = "Nats-Time-Stamp"
_NOT_FOUND: Final = "404"
_NO_RESPONDERS: Final = "503"
_OPERATION: Final = "KV-Operation"
_NO_MESSAGE: Final = 10037
"""JetStream's error code for a message that is not there; a missing stream has another."""

_LEADER_ELECTED: Final = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.>"
_TAKES_OFFICE_S: Final = 0.1
"""A new leader is announced just before it listens (nats-server, processStreamLeaderChange)."""

_ASK_LEADER_S: Final = 60.0
"""For how long a stream that has no direct answers is not asked for them again."""

_DELETED: Final = frozenset({"DEL", "PURGE"})
DELETION: Final[Mapping[str, str]] = {_OPERATION: "DEL"}
"""Headers of an entry that says that there is none any more. Source: NATS ADR-8."""


class _Question(NamedTuple):
    """What was asked and not answered yet."""

    subject: str
    payload: bytes
    headers: dict[str, str] | None
    answer: asyncio.Future[Msg]


class _Refused(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PubAck(Struct, frozen=True):
    error: _Refused | None = None


class _Stored(Struct, frozen=True):
    """A message as the leader tells it; `hdrs` and `data` come as base64."""

    seq: int
    time: str
    hdrs: bytes = b""
    data: bytes = b""


class _Told(Struct, frozen=True):
    message: _Stored | None = None
    error: _Refused | None = None


_PUB_ACKS: Final = msgspec.json.Decoder(_PubAck)
_TOLD: Final = msgspec.json.Decoder(_Told)


class Requests:
    """Asks JetStream over one connection, any number of questions at once.

    A question that went to a node that died or hangs is never answered. So whatever is open is
    asked again as soon as somebody else may answer: every question can be asked twice.
    """

    def __init__(self, nc: Client, *, on_silence: Callable[[], None]) -> None:
        """Take the connection, and what to call when all that was asked for `TIMEOUT_S` failed."""
        self._nc = nc
        self._on_silence = on_silence
        self._failing_since: float | None = None
        self._inbox = ""
        self._serial = 0
        self._open: dict[str, _Question] = {}
        self._ask_leader_until: dict[str, float] = {}
        self._asking_again: asyncio.Task[None] | None = None

    async def ask_again(self) -> None:
        """Ask every open question once more; the first answer counts."""
        for token, question in list(self._open.items()):
            with suppress(QjetError):
                await self._send(token, question)

    async def publish(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None
    ) -> None:
        """Store a message; returns once JetStream says that it is on disk.

        Raises:
            QjetError: as `errors.refusal` and `errors.translated` say.
        """
        require_size(self._nc, payload, headers)
        with self._watched():
            answer = await self._ask(subject, payload, headers)
            if error := _PUB_ACKS.decode(answer.data).error:
                raise refusal(subject, error.code, error.err_code, error.description)

    async def last(self, stream: str, subject: str) -> Msg | None:
        """Return the newest message of one subject, or None where there is none.

        Raises:
            BrokerUnavailableError: no answer.
        """
        with self._watched():
            return await self._read(stream, {"last_by_subj": subject})

    async def first(self, stream: str, subject: str) -> Msg | None:
        """Return the oldest message of a subject, which may hold wildcards. Raises as `last`."""
        with self._watched():
            return await self._read(stream, {"seq": 1, "next_by_subj": subject})

    async def _read(self, stream: str, query: dict[str, str | int]) -> Msg | None:
        question = msgspec.json.encode(query)
        now = asyncio.get_running_loop().time()
        if now < self._ask_leader_until.get(stream, 0.0):
            return await self._told_by_leader(stream, question)
        answer = await self._exchange(f"$JS.API.DIRECT.GET.{stream}", question)
        if _status(answer) != _NO_RESPONDERS:
            return None if _status(answer) == _NOT_FOUND else answer
        found = await self._told_by_leader(stream, question)
        self._ask_leader_until[stream] = now + _ASK_LEADER_S
        return found

    async def _told_by_leader(self, stream: str, question: bytes) -> Msg | None:
        """Ask as a direct get does, but the one that has heard of every message."""
        subject = f"$JS.API.STREAM.MSG.GET.{stream}"
        answer = await self._ask(subject, question)
        told = _TOLD.decode(answer.data)
        if told.message is not None:
            return await self._as_direct(answer, told.message)
        error = told.error or _Refused()
        if error.err_code == _NO_MESSAGE:
            return None
        raise BrokerUnavailableError(f"JetStream cannot read {stream}: {error.description}.")

    async def _as_direct(self, answer: Msg, message: _Stored) -> Msg:
        """Return a message in the shape of a direct answer, by nats-py's own reading of headers."""
        headers = await self._nc._process_headers(message.hdrs) or {}  # noqa: SLF001  # see above
        headers |= {subjects.SEQUENCE: str(message.seq), _TIME_STAMP: message.time}
        return Msg(_client=self._nc, subject=answer.subject, data=message.data, headers=headers)

    async def _ask(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None
    ) -> Msg:
        answer = await self._exchange(subject, payload, headers)
        if _status(answer) == _NO_RESPONDERS:
            raise BrokerUnavailableError("JetStream does not answer, or the stream is missing.")
        return answer

    async def _exchange(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None
    ) -> Msg:
        if not self._inbox:
            await self._listen()
        self._serial += 1
        token = str(self._serial)
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        question = _Question(subject, payload, dict(headers) if headers else None, answer)
        self._open[token] = question
        try:
            await self._send(token, question)
            with translated(subject):
                async with asyncio.timeout(TIMEOUT_S):
                    return await answer
        finally:
            self._open.pop(token, None)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Notice when the broker has been of no use for a while."""
        asked_at = time.monotonic()
        try:
            yield
        except BrokerUnavailableError:
            self._failing_since = min(asked_at, self._failing_since or asked_at)
            if time.monotonic() - self._failing_since >= TIMEOUT_S:
                self._on_silence()
            raise
        except QjetError:
            self._failing_since = None
            raise
        self._failing_since = None

    async def _listen(self) -> None:
        self._inbox = self._nc.new_inbox() + "."
        await self._nc.subscribe(self._inbox + "*", cb=self._receive)
        await self._nc.subscribe(_LEADER_ELECTED, cb=self._hear_of_leader)

    async def _send(self, token: str, question: _Question) -> None:
        subject, payload, headers, _ = question
        with translated(subject):
            await self._nc.publish(subject, payload, reply=self._inbox + token, headers=headers)

    async def _receive(self, msg: Msg) -> None:
        question = self._open.get(msg.subject.removeprefix(self._inbox))
        if question is not None and not question.answer.done():
            question.answer.set_result(msg)

    async def _hear_of_leader(self, _: Msg) -> None:
        """Ask again soon: many streams may get new leaders at about the same time."""
        if self._asking_again:
            self._asking_again.cancel()
        self._asking_again = asyncio.create_task(self._ask_again_soon(), name="requests.again")

    async def _ask_again_soon(self) -> None:
        await asyncio.sleep(_TAKES_OFFICE_S)
        await self.ask_again()


def _status(msg: Msg) -> str | None:
    """Return the server's own status; a stored message may carry a header of that name too."""
    headers = msg.headers or {}
    return headers.get(_STATUS) if subjects.SEQUENCE not in headers and not msg.data else None


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
