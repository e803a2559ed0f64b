"""Reads messages from streams by subject, such that what is there is never told to be missing.

Where a stream has one copy, reads are direct. Of several copies any would answer a direct read,
also one that has not heard of the last messages; so such streams allow none, and their leader is
asked. A leader that was cut off from the others believes for some seconds more that it leads: its
word that there is nothing counts only while most of the others answer it.

Source: NATS ADR-31 (direct get, of one or of many), https://github.com/nats-io/nats-architecture-and-design
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from qjet_shared import subjects
from qjet_shared.client import TolerantClient
from qjet_shared.errors import BrokerUnavailableError, translated
from qjet_shared.requests import NO_RESPONDERS, TIMEOUT_S, Refused, Requests, status

_NOT_FOUND: Final = "404"
_NO_MESSAGE: Final = 10037
"""JetStream's error code for a message that is not there; a missing stream has another."""

_ASK_LEADER_S: Final = 60.0
"""For how long a stream that has no direct answers is not asked for them again."""

_HEARD_LATELY_S: Final = 3.0
_TRUSTED_S: Final = 0.5
"""Nobody else is elected within four seconds of a leader's last word: the two stay below that.

Source: nats-server `server/raft.go`, minElectionTimeoutDefault; heartbeats come every second.
"""

_NANOSECOND: Final = 1e-9

_SUBJECTS_AT_ONCE: Final = 512
"""A direct read of many gives 1,024 messages at most; each subject may stand for one in each lane.

Source: nats-server `server/stream.go`, getDirectMulti.
"""
_BYTES_AT_ONCE: Final = 1 << 20
_LEADER_READS_AT_ONCE: Final = 32
_ALL_SENT: Final = "204"
_NONE_THERE: Final = "404 No Results"
_PENDING: Final = "Nats-Num-Pending"


class _Stored(Struct, frozen=True):
    """A message as the leader tells it; `hdrs` and `data` come as base64."""

    subject: str
    seq: int
    time: str
    hdrs: bytes = b""
    data: bytes = b""


class _Told(Struct, frozen=True):
    message: _Stored | None = None
    error: Refused = Refused()


class _Replica(Struct, frozen=True):
    """Another copy of a stream; `active` is how many nanoseconds ago it was heard of."""

    active: int = 0
    offline: bool = False

    @property
    def was_heard_lately(self) -> bool:
        return not self.offline and self.active * _NANOSECOND < _HEARD_LATELY_S


class _Cluster(Struct, frozen=True):
    replicas: tuple[_Replica, ...] = ()


class _Info(Struct, frozen=True):
    cluster: _Cluster = _Cluster()
    error: Refused | None = None

    @property
    def is_of_majority(self) -> bool:
        """Whether the copy that answered and those it hears of are more than half of all."""
        replicas = self.cluster.replicas
        heard = 1 + sum(replica.was_heard_lately for replica in replicas)
        return self.error is None and 2 * heard > 1 + len(replicas)


_TOLD: Final = msgspec.json.Decoder(_Told)
_INFO: Final = msgspec.json.Decoder(_Info)


class _Answers:
    """The messages that answer one question, up to the one that ends them."""

    def __init__(self) -> None:
        self.messages: list[Msg] = []
        self.end: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

    def add(self, msg: Msg) -> None:
        if status(msg) is None:
            self.messages.append(msg)
        elif not self.end.done():
            self.end.set_result(msg)


class Reads:
    """Finds messages by their subject."""

    def __init__(self, nc: TolerantClient, requests: Requests) -> None:
        self._nc = nc
        self._requests = requests
        self._inbox = ""
        self._serial = 0
        self._open: dict[str, _Answers] = {}
        self._ask_leader_until: dict[str, float] = {}
        self._trusted_until: dict[str, float] = {}

    async def last(self, stream: str, subject: str) -> Msg | None:
        """Return the newest message of one subject, or None where there is none.

        Raises:
            BrokerUnavailableError: no answer, or none that could be relied on.
        """
        with self._requests.watched():
            return await self._read(stream, {"last_by_subj": subject})

    async def first(self, stream: str, subject: str, *, start: int) -> Msg | None:
        """Return the oldest message of a subject, which may hold wildcards, from `start` on.

        Raises as `last`.
        """
        with self._requests.watched():
            return await self._read(stream, {"seq": start, "next_by_subj": subject})

    async def last_of(self, stream: str, names: Sequence[str]) -> AsyncIterator[Msg]:
        """Yield the newest message of each subject in `names` that has one, in no order.

        A name may hold wildcards where few subjects match it. No more is held at once than one
        message beyond `_BYTES_AT_ONCE` or, from the leader, `_LEADER_READS_AT_ONCE` messages.

        Raises as `last`.
        """
        for some in _slices(names, _SUBJECTS_AT_ONCE):
            pages = self._told_pages if self._asks_leader(stream) else self._direct_pages
            with self._requests.watched():
                async for page in pages(stream, some):
                    for msg in page:
                        yield msg

    def give_up(self) -> None:
        """End every question of many answers: the connection they would have come over is gone."""
        for answers in self._open.values():
            if not answers.end.done():
                answers.end.set_exception(BrokerUnavailableError())

    async def _direct_pages(self, stream: str, names: Sequence[str]) -> AsyncIterator[list[Msg]]:
        start, is_more = 0, True
        while is_more:
            query = {"multi_last": names, "seq": start, "max_bytes": _BYTES_AT_ONCE}
            page, end = await self._all(f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(query))
            if status(end) == NO_RESPONDERS:
                async for told in self._told_pages(stream, names):
                    yield told
                self._ask_leader_until[stream] = time.monotonic() + _ASK_LEADER_S
                return
            yield page
            is_more = _is_more(stream, end)
            start = int((page[-1].headers or {})[subjects.SEQUENCE]) + 1 if page else 0

    async def _told_pages(self, stream: str, names: Sequence[str]) -> AsyncIterator[list[Msg]]:
        for some in _slices(names, _LEADER_READS_AT_ONCE):
            queries = [msgspec.json.encode({"last_by_subj": name}) for name in some]
            told = await asyncio.gather(*(self._told_by_leader(stream, query) for query in queries))
            yield [msg for msg in told if msg is not None]

    async def _all(self, subject: str, question: bytes) -> tuple[list[Msg], Msg]:
        """Ask, and return what comes and the message that ends it."""
        if not self._inbox:
            self._inbox = self._nc.new_inbox() + "."
            await self._nc.listen(self._inbox + "*", self._receive)
        self._serial += 1
        token = str(self._serial)
        answers = self._open[token] = _Answers()
        try:
            with translated(subject):
                await self._nc.publish(subject, question, self._inbox + token)
                async with asyncio.timeout(TIMEOUT_S):
                    end = await answers.end
        finally:
            del self._open[token]
        return answers.messages, end

    def _receive(self, msg: Msg) -> None:
        answers = self._open.get(msg.subject.removeprefix(self._inbox))
        if answers is not None:
            answers.add(msg)

    def _asks_leader(self, stream: str) -> bool:
        return time.monotonic() < self._ask_leader_until.get(stream, 0.0)

    async def _read(self, stream: str, query: dict[str, str | int]) -> Msg | None:
        question = msgspec.json.encode(query)
        if self._asks_leader(stream):
            return await self._told_by_leader(stream, question)
        answer = await self._requests.exchange(f"$JS.API.DIRECT.GET.{stream}", question)
        if status(answer) != NO_RESPONDERS:
            return None if status(answer) == _NOT_FOUND else answer
        found = await self._told_by_leader(stream, question)
        self._ask_leader_until[stream] = time.monotonic() + _ASK_LEADER_S
        return found

    async def _told_by_leader(self, stream: str, question: bytes) -> Msg | None:
        answer = await self._requests.ask(f"$JS.API.STREAM.MSG.GET.{stream}", question)
        told = _TOLD.decode(answer.data)
        if told.message is not None:
            return await self._as_direct(answer, told.message)
        if told.error.err_code != _NO_MESSAGE:
            text = f"JetStream cannot read {stream}: {told.error.description}."
            raise BrokerUnavailableError(text)
        if time.monotonic() >= self._trusted_until.get(stream, 0.0):
            await self._trust_leader(stream)
        return None

    async def _trust_leader(self, stream: str) -> None:
        asked_at = time.monotonic()
        answer = await self._requests.ask(f"$JS.API.STREAM.INFO.{stream}", b"")
        if not _INFO.decode(answer.data).is_of_majority:
            raise BrokerUnavailableError(f"Most copies of {stream} are out of reach.")
        self._trusted_until[stream] = asked_at + _TRUSTED_S

    async def _as_direct(self, answer: Msg, message: _Stored) -> Msg:
        """Return a message in the shape of a direct answer, its headers read by nats-py alike."""
        headers = await self._nc._process_headers(message.hdrs) or {}  # noqa: SLF001  # there is no other
        headers |= {
            subjects.SUBJECT: message.subject,
            subjects.SEQUENCE: str(message.seq),
            subjects.TIME_STAMP: message.time,
        }
        return Msg(_client=self._nc, subject=answer.subject, data=message.data, headers=headers)


def _slices(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (names[at : at + size] for at in range(0, len(names), size))


def _is_more(stream: str, end: Msg) -> bool:
    """Whether more is there than was sent.

    Raises:
        BrokerUnavailableError: not all could be read.
    """
    headers = end.headers or {}
    if status(end) == _ALL_SENT:
        return headers.get(_PENDING, "0") != "0"
    said = f"{status(end)} {headers.get('Description')}"
    if said == _NONE_THERE:
        return False
    raise BrokerUnavailableError(f"JetStream cannot read {stream}: {said}.")
