"""Reads single messages from streams, such that what is there is never told to be missing.

Where a stream has one copy, reads are direct. Of several copies any would answer a direct read,
also one that has not heard of the last messages; so such streams allow none, and their leader is
asked. A leader that was cut off from the others believes for some seconds more that it leads: its
word that there is nothing counts only while most of the others answer it.

Source: NATS ADR-31 (direct get), https://github.com/nats-io/nats-architecture-and-design
"""

import time
from typing import Final

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from qjet_shared import subjects
from qjet_shared.errors import BrokerUnavailableError
from qjet_shared.requests import NO_RESPONDERS, Refused, Requests, status

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


class _Stored(Struct, frozen=True):
    """A message as the leader tells it; `hdrs` and `data` come as base64."""

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


class Reads:
    """Finds messages by their subject."""

    def __init__(self, nc: Client, requests: Requests) -> None:
        self._nc = nc
        self._requests = requests
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

    async def _read(self, stream: str, query: dict[str, str | int]) -> Msg | None:
        question = msgspec.json.encode(query)
        now = time.monotonic()
        if now < self._ask_leader_until.get(stream, 0.0):
            return await self._told_by_leader(stream, question)
        answer = await self._requests.exchange(f"$JS.API.DIRECT.GET.{stream}", question)
        if status(answer) != NO_RESPONDERS:
            return None if status(answer) == _NOT_FOUND else answer
        found = await self._told_by_leader(stream, question)
        self._ask_leader_until[stream] = now + _ASK_LEADER_S
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
        headers |= {subjects.SEQUENCE: str(message.seq), subjects.TIME_STAMP: message.time}
        return Msg(_client=self._nc, subject=answer.subject, data=message.data, headers=headers)
