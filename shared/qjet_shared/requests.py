"""Requests to JetStream, as cheap as Python allows, for the calls that every task makes.

nats-py's own are fine for the rest; these leave out its random token, its intermediate classes and
its parsing of times for each call. One inbox serves all: an answer finds its caller by a number in
its subject.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from qjet_shared import subjects
from qjet_shared.client import TolerantClient
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

_BATCH_ID: Final = "Nats-Batch-Id"
_BATCH_SEQUENCE: Final = "Nats-Batch-Sequence"
_COMMIT: Final = {"Nats-Batch-Commit": "1"}
_INBOX_TAIL: Final = 23
"""An inbox ends in a random name of 22 characters and a dot; a batch's has 64 at most."""

_STATUS: Final = "Status"
NO_RESPONDERS: Final = "503"
"""The `status` of an answer that says that nobody listens to a subject."""

_OPERATION: Final = "KV-Operation"

_LEADER_ELECTED: Final = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.>"
_TAKES_OFFICE_S: Final = 0.1
"""A new leader is announced just before it listens (nats-server, processStreamLeaderChange)."""

_USELESS_S: Final = 5.0
"""A server may be alone and not know. Leaving one that waits for an election costs little."""

_DELETED: Final = frozenset({"DEL", "PURGE"})
DELETION: Final[Mapping[str, str]] = {_OPERATION: "DEL"}
"""Headers of an entry that says that there is none any more. Source: NATS ADR-8."""

_NOT_THERE: Final = frozenset({10037, 10057})
"""JetStream's error codes for a message that is gone, asked for or to be removed."""


class Outgoing(NamedTuple):
    """A message to publish."""

    subject: str
    payload: bytes
    headers: Mapping[str, str] | None = None


class _Question(NamedTuple):
    """What was asked and not answered yet: one message, or several that belong together."""

    messages: Sequence[Outgoing]
    answer: asyncio.Future[Msg]


class Refused(Struct, frozen=True):
    """What JetStream says instead: `code` of HTTP's kind, `err_code` its own."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class _PubAck(Struct, frozen=True):
    error: Refused | None = None


_PUB_ACKS: Final = msgspec.json.Decoder(_PubAck)


class Requests:
    """Asks JetStream over one connection, any number of questions at once.

    A question that went to a node that died or hangs is never answered. So whatever is open is
    asked again as soon as somebody else may answer: every question can be asked twice.
    """

    def __init__(self, nc: TolerantClient, *, on_useless: Callable[[], None]) -> None:
        """Take the connection, and what to call when all has failed for `_USELESS_S` seconds."""
        self._nc = nc
        self._on_useless = on_useless
        self._failing_since: float | None = None
        self._inbox = ""
        self._serial = 0
        self._batches = 0
        self._open: dict[str, _Question] = {}
        self._asking_again: asyncio.Task[None] | None = None

    async def ask_again(self) -> None:
        """Ask every open question once more; the first answer counts."""
        for token, question in list(self._open.items()):
            with suppress(QjetError):
                await self._send(token, question)

    async def publish_all(self, messages: Sequence[Outgoing]) -> None:
        """Store messages of one stream, all or none; returns once JetStream says they are on disk.

        Several go as an atomic batch, which is synced to disk once.

        Raises:
            QjetError: as `errors.refusal` and `errors.translated` say; with several, whatever is
                wrong with one is wrong with all.

        Source: NATS ADR-50, https://github.com/nats-io/nats-architecture-and-design
        """
        for message in messages:
            require_size(self._nc, message.payload, message.headers)
        with self.watched():
            answer = await self._exchange(messages)
            _require_answer(answer)
            if error := _PUB_ACKS.decode(answer.data).error:
                subject = messages[-1].subject
                raise refusal(subject, error.code, error.err_code, error.description)

    async def remove(self, stream: str, sequence: int) -> None:
        """Remove a message from a stream, if it is still there.

        Raises:
            QjetError: as `errors.refusal` and `errors.translated` say.
        """
        question = msgspec.json.encode({"seq": sequence, "no_erase": True})
        subject = f"$JS.API.STREAM.MSG.DELETE.{stream}"
        error = _PUB_ACKS.decode((await self.ask(subject, question)).data).error
        if error and error.err_code not in _NOT_THERE:
            raise refusal(subject, error.code, error.err_code, error.description)

    async def ask(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None
    ) -> Msg:
        """Return the answer to a question. Raises `BrokerUnavailableError` without one."""
        answer = await self.exchange(subject, payload, headers)
        _require_answer(answer)
        return answer

    async def exchange(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None
    ) -> Msg:
        """Return whatever comes back, also that there is nobody to answer. Raises as `ask`."""
        return await self._exchange([Outgoing(subject, payload, headers)])

    async def _exchange(self, messages: Sequence[Outgoing]) -> Msg:
        if not self._inbox:
            await self._listen()
        loop = asyncio.get_running_loop()
        self._serial += 1
        token = str(self._serial)
        question = self._open[token] = _Question(messages, loop.create_future())
        expiry = loop.call_later(TIMEOUT_S, _expire, question.answer)
        try:
            await self._send(token, question)
            return await question.answer
        finally:
            expiry.cancel()
            del self._open[token]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notice when the broker has been of no use for a while."""
        asked_at = time.monotonic()
        try:
            yield
        except BrokerUnavailableError:
            self._failing_since = min(asked_at, self._failing_since or asked_at)
            if time.monotonic() - self._failing_since >= _USELESS_S:
                self._failing_since = None
                self._on_useless()
            raise
        except QjetError:
            self._failing_since = None
            raise
        self._failing_since = None

    async def _listen(self) -> None:
        self._inbox = self._nc.new_inbox() + "."
        await self._nc.listen(self._inbox + "*", self._receive)
        await self._nc.listen(_LEADER_ELECTED, self._hear_of_leader)

    async def _send(self, token: str, question: _Question) -> None:
        *others, last = question.messages
        if others:
            await self._send_batch(token, question.messages)
            return
        with translated(last.subject):
            await self._nc.publish(last.subject, last.payload, self._inbox + token, last.headers)

    async def _send_batch(self, token: str, messages: Sequence[Outgoing]) -> None:
        """Send a batch, under a new name: an earlier try may lie there unfinished."""
        self._batches += 1
        batch = {_BATCH_ID: f"{self._inbox[-_INBOX_TAIL:-1]}-{self._batches}"}
        for number, (subject, payload, headers) in enumerate(messages, start=1):
            is_last = number == len(messages)
            batch[_BATCH_SEQUENCE] = str(number)
            commit = _COMMIT if is_last else {}
            reply = self._inbox + token if is_last else ""
            with translated(subject):
                await self._nc.publish(
                    subject, payload, reply, {**(headers or {}), **batch, **commit}
                )

    def _receive(self, msg: Msg) -> None:
        question = self._open.get(msg.subject.removeprefix(self._inbox))
        if question is not None and not question.answer.done():
            question.answer.set_result(msg)

    def _hear_of_leader(self, _: Msg) -> None:
        """Ask again soon: many streams may get new leaders at about the same time."""
        if self._asking_again:
            self._asking_again.cancel()
        self._asking_again = asyncio.create_task(self._ask_again_soon(), name="requests.again")

    async def _ask_again_soon(self) -> None:
        await asyncio.sleep(_TAKES_OFFICE_S)
        await self.ask_again()


def _require_answer(answer: Msg) -> None:
    if status(answer) == NO_RESPONDERS:
        raise BrokerUnavailableError("JetStream does not answer, or the stream is missing.")


def _expire(answer: asyncio.Future[Msg]) -> None:
    if not answer.done():
        answer.set_exception(BrokerUnavailableError("The message broker did not answer in time."))


def status(msg: Msg) -> str | None:
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
