"""Looks where the tasks of a batch are, all together: a few questions for a thousand tasks.

The places and their order are those of `Reader.read`, and so is what follows from them. A final
state is looked for until it is there, and then known; only the others are asked for again.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Struct
from nats.aio.msg import Msg

from qjet_gateway.cluster import Cluster
from qjet_gateway.reader import Reader, digest_of, read_state
from qjet_shared import subjects
from qjet_shared.batches import BatchCounts, BatchState, Member, MemberStatus
from qjet_shared.broker import Broker
from qjet_shared.messages.task import unreadable
from qjet_shared.requests import marks_deletion

PIECE_BYTES: Final = 1 << 20
"""Finished tasks are held and sent in pieces of about this size."""


class Ended(Struct):
    """A finished task: how it ended, its size as JSON, where the rest of it is, and the JSON."""

    status: MemberStatus
    size_bytes: int
    blob: str | None
    body: bytes | None


class Survey:
    """What is known of where some tasks are."""

    def __init__(
        self, broker: Broker, cluster: Cluster, task_ids: Sequence[str], *, keep_bytes: int = 0
    ) -> None:
        """Take the tasks, and how much of the finished ones is kept, not to be read again."""
        self._broker = broker
        self._cluster = cluster
        self._task_ids = task_ids
        self._room_bytes = keep_bytes
        self._ended: dict[str, Ended] = {}
        self._unfinished: dict[str, MemberStatus] = {}
        self.digests: set[str] = set()
        """Those of the submissions that were found; a batch with a key has one."""

    @property
    def open_ids(self) -> list[str]:
        """The tasks whose final state is not known."""
        return [task_id for task_id in self._task_ids if task_id not in self._ended]

    @property
    def is_empty(self) -> bool:
        """Whether no task was found."""
        return not self._ended and not self._unfinished

    def counts(self) -> BatchCounts:
        """Count the tasks by status."""
        found = dict.fromkeys(BatchCounts.__struct_fields__, 0)
        for task_id in self._task_ids:
            found[self._status(task_id)] += 1
        return BatchCounts(**found)

    def state(self, batch_id: str) -> BatchState:
        """Return the batch with each task's status."""
        tasks = tuple(self._member(task_id) for task_id in self._task_ids)
        return BatchState(batch_id=batch_id, counts=self.counts(), tasks=tasks)

    async def look(self) -> list[str]:
        """Find out where each task is, as far as it can have changed; return the unfinished ones.

        Raises:
            BrokerUnavailableError: not all could be read.
        """
        rest = await self.look_for_ends(self.open_ids)
        waiting = await self._waiting(rest)
        rest = [task_id for task_id in rest if task_id not in waiting]
        on_their_way = await self._on_their_way(rest)
        await self.look_for_ends(rest)
        found = {k: v for k, v in (waiting | on_their_way).items() if k not in self._ended}
        self.digests.update(found.values())
        is_running = self._cluster.running_ids | on_their_way.keys()
        self._unfinished = {k: "running" if k in is_running else "pending" for k in found}
        return list(found)

    async def look_for_ends(self, task_ids: Sequence[str]) -> list[str]:
        """Find out which of some tasks are final; return the others. Raises as `look`."""
        async for task_id, ended in self._read_ended(task_ids):
            if ended.size_bytes > self._room_bytes:
                ended.body = None
            else:
                self._room_bytes -= ended.size_bytes
            self._ended[task_id] = ended
        return [task_id for task_id in task_ids if task_id not in self._ended]

    def pieces(self) -> list[list[str]]:
        """Divide the tasks, in their order, into what may be held at once.

        One whose result was too large for a message stands alone.
        """
        pieces: list[list[str]] = [[]]
        room_bytes = PIECE_BYTES
        for task_id in self._task_ids:
            size_bytes = self._held_bytes(task_id)
            if size_bytes > room_bytes and pieces[-1]:
                pieces.append([])
                room_bytes = PIECE_BYTES
            pieces[-1].append(task_id)
            room_bytes -= size_bytes
        return pieces

    async def bodies(self, task_ids: Sequence[str], reader: Reader) -> list[bytes]:
        """Return tasks as JSON, finished ones in full; these are let go of afterwards.

        Raises as `look`.
        """
        await self._hold(task_ids)
        bodies = [await self._body(task_id, reader) for task_id in task_ids]
        for task_id in task_ids:
            if ended := self._ended.get(task_id):
                ended.body = None
        return bodies

    async def _hold(self, task_ids: Sequence[str]) -> None:
        """Read what was not kept; what is not there any more was deleted, or has expired."""
        ended = ((task_id, self._ended.get(task_id)) for task_id in task_ids)
        unread = [task_id for task_id, known in ended if known and known.body is None]
        found = {task_id: known async for task_id, known in self._read_ended(unread)}
        for task_id in unread:
            del self._ended[task_id]
        self._ended |= found

    async def _body(self, task_id: str, reader: Reader) -> bytes:
        ended = self._ended.get(task_id)
        if ended is None or ended.body is None:
            return msgspec.json.encode(self._member(task_id))
        return await reader.whole(ended.body, ended.blob) if ended.blob else ended.body

    def _held_bytes(self, task_id: str) -> int:
        ended = self._ended.get(task_id)
        if ended is None:
            return 0
        return PIECE_BYTES if ended.blob else ended.size_bytes

    def _member(self, task_id: str) -> Member:
        return Member(task_id=task_id, status=self._status(task_id))

    def _status(self, task_id: str) -> MemberStatus:
        ended = self._ended.get(task_id)
        return ended.status if ended else self._unfinished.get(task_id, "gone")

    async def _read_ended(self, task_ids: Sequence[str]) -> AsyncIterator[tuple[str, Ended]]:
        names = [subjects.entry(task_id) for task_id in task_ids]
        async for msg in self._broker.last_of(subjects.RESULTS_BUCKET_STREAM, names):
            if not marks_deletion(msg):
                self.digests.add(digest_of(msg))
                task_id = _task_id(msg)
                yield task_id, _ended(task_id, msg.data)

    async def _waiting(self, task_ids: Sequence[str]) -> dict[str, str]:
        """Return the digests of the tasks that are in the queue."""
        names = [subjects.task("*", task_id) for task_id in task_ids]
        return await self._digests(subjects.TASKS_STREAM, names)

    async def _on_their_way(self, task_ids: Sequence[str]) -> dict[str, str]:
        """Return the digests of the tasks that have a result and were not announced.

        Once announced they were final; those that the bucket does not have then are gone.
        """
        results = [subjects.result(task_id) for task_id in task_ids]
        found = await self._digests(subjects.RESULTS_STREAM, results)
        finals = [subjects.final(task_id, "*") for task_id in found]
        async for msg in self._broker.last_of(subjects.EVENTS_STREAM, finals):
            found.pop(subjects.task_id_of_event(_subject(msg)), None)
        return found

    async def _digests(self, stream: str, names: Sequence[str]) -> dict[str, str]:
        """Return the digest with each task that has a message in a stream."""
        return {_task_id(msg): digest_of(msg) async for msg in self._broker.last_of(stream, names)}


def _ended(task_id: str, entry: bytes) -> Ended:
    """Read an entry of the bucket, or, where it cannot be read, what its task then is."""
    state = read_state(entry)
    body = entry if state else msgspec.json.encode(unreadable(task_id))
    blob = None if state is None or state.blob is UNSET else state.blob.name
    status = state.status if state else "error"
    return Ended(status=status, size_bytes=len(body), blob=blob, body=body)


def _task_id(msg: Msg) -> str:
    return subjects.key_of(_subject(msg))


def _subject(msg: Msg) -> str:
    """Return under which subject a message is stored; its own is that of the question."""
    return (msg.headers or {})[subjects.SUBJECT]
