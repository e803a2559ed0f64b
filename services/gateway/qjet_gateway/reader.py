"""Reads a task's state from where it is: bucket, task stream, results stream, bucket again.

A task is always in at least one of them, because each step on its way writes the next place
before it leaves the last. So an accepted task is never missed and an unknown one never invented.
Only the bucket makes a state final: that is where the first one wins.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from qjet_gateway.cluster import Cluster
from qjet_shared import subjects, traces
from qjet_shared.broker import Broker
from qjet_shared.errors import BrokerUnavailableError, QjetError, translated
from qjet_shared.messages import UNREADABLE
from qjet_shared.messages.submission import Submission
from qjet_shared.messages.task import LargeResult, StoredState, Task, unreadable
from qjet_shared.submissions import Limits, read_payload

log = logging.getLogger(__name__)

_IN_PROGRESS: Final = "Task is still in progress."
_LOOK_AGAIN_S: Final = 1.0
_BLOB_TIMEOUT_S: Final = 60.0
_STATES: Final = msgspec.json.Decoder(StoredState)
_NO_LIMITS: Final = Limits(max_shots=2**63 - 1, max_timeout_s=float("inf"), max_points=2**63 - 1)


class Found(Struct, frozen=True, kw_only=True):
    """A task as JSON, whether its state is final, and the digest of a submission with a key."""

    body: bytes
    is_final: bool
    digest: str = ""


class Reader:
    """Reads tasks; writes nothing."""

    def __init__(self, broker: Broker, cluster: Cluster, limits: Limits) -> None:
        self._broker = broker
        self._cluster = cluster
        self._limits = limits

    async def read(self, task_id: str) -> Found | None:
        """Return the task as it is now, or None if there is none.

        Raises:
            BrokerUnavailableError: the state cannot be read now.
        """
        return (
            await self.final(task_id)
            or await self._waiting(task_id)
            or await self._on_its_way(task_id)
            or await self.final(task_id)
        )

    async def wait_final(self, task_id: str, changed: asyncio.Event, wait_s: float) -> Found | None:
        """Return the task once it is final, or as it is after `wait_s` seconds.

        An announcement may be lost with a connection, so the bucket is looked at now and then too.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while (left_s := deadline - loop.time()) > 0 and not self._cluster.is_closing:
            try:
                async with asyncio.timeout(min(left_s, _LOOK_AGAIN_S)):
                    await changed.wait()
            except TimeoutError:
                pass
            changed.clear()
            if found := await self.final(task_id):
                return found
        return await self.read(task_id)

    async def final(self, task_id: str, *, is_whole: bool = True) -> Found | None:
        """Return the task if its state is final, with what was too large for a message or without.

        Raises as `read`.
        """
        entry = await self._broker.entry(subjects.token(task_id))
        if entry is None:
            return None
        body, state = entry.data, read_state(entry.data)
        if state is None:
            body = msgspec.json.encode(unreadable(task_id))
        elif state.blob is not UNSET and is_whole:
            body = await self.whole(body, state.blob.name)
        return Found(body=body, is_final=True, digest=digest_of(entry))

    async def whole(self, body: bytes, name: str) -> bytes:
        """Put the large members back into a task, as the JSON text that the blob `name` holds.

        Raises as `read`.
        """
        try:
            async with asyncio.timeout(_BLOB_TIMEOUT_S):
                with translated(subjects.BLOBS_BUCKET):
                    store = await self._broker.js.object_store(subjects.BLOBS_BUCKET)
                    data = (await store.get(name)).data
        except TimeoutError as exc:
            raise BrokerUnavailableError("A large result could not be read in time.") from exc
        except NotFoundError:  # deleted at this moment; the entry still says what it was
            return body
        task = msgspec.json.decode(body, type=Task)
        try:
            large = msgspec.json.decode(data or b"", type=LargeResult)
        except UNREADABLE:  # not ours
            return body
        counts: Any = large.result
        memory: Any = large.memory
        values: Any = large.expectation_values
        whole = msgspec.structs.replace(
            task, result=counts, memory=memory, expectation_values=values, blob=UNSET
        )
        return msgspec.json.encode(whole)

    async def _waiting(self, task_id: str) -> Found | None:
        """Look in the task stream, under every name a task can have there."""
        found = await traces.waiting(self._broker, task_id)
        return self._unfinished(task_id, found[0][1]) if found else None

    async def _on_its_way(self, task_id: str) -> Found | None:
        """Look in the results stream: there, a task is done but not yet final.

        Once announced it was final; if the bucket has nothing then, the entry has expired.
        """
        msg = await self._broker.first(subjects.RESULTS_STREAM, subjects.result(task_id))
        if msg is None or await traces.has_expired(self._broker, subjects.token(task_id)):
            return None
        return _not_yet_final(task_id, msg)

    def _unfinished(self, task_id: str, msg: Msg) -> Found:
        submission = _readable(msg.data, self._limits)
        running = self._cluster.running(task_id)
        task = Task(
            task_id=task_id,
            status="running" if running else "pending",
            message=_IN_PROGRESS,
            shots=submission.shots if submission else None,
            seed=submission.seed if submission else None,
            method=submission.method if submission else None,
            tags=submission.tags if submission else (),
            name=submission.name if submission else None,
            created_at=traces.created_at(msg),
            started_at=running.task.started_at if running else None,
            attempts=running.task.attempt if running else 0,
            executor=running.executor if running else None,
        )
        return Found(body=msgspec.json.encode(task), is_final=False, digest=digest_of(msg))


def digest_of(msg: Msg) -> str:
    """Return the digest that goes with a submission that had a key, or nothing."""
    return (msg.headers or {}).get(subjects.DIGEST, "")


def read_state(entry: bytes) -> StoredState | None:
    """Read an entry of the bucket; None for what an operator put there that is none."""
    try:
        return _STATES.decode(entry)
    except UNREADABLE:
        return None


def _not_yet_final(task_id: str, msg: Msg) -> Found:
    """Show a result that is not in the bucket yet as what it is until then: a running task."""
    try:
        task = msgspec.json.decode(msg.data, type=Task)
    except UNREADABLE:
        task = Task(task_id=task_id, status="running", message="")
    shown = msgspec.structs.replace(
        task,
        task_id=task_id,
        status="running",
        message=_IN_PROGRESS,
        result=None,
        error=None,
        memory=UNSET,
        expectation_values=UNSET,
        blob=UNSET,
        finished_at=None,
        timings=None,
    )
    return Found(body=msgspec.json.encode(shown), is_final=False, digest=digest_of(msg))


def _readable(payload: bytes, limits: Limits) -> Submission | None:
    """Read a submission for display; an executor will say what is wrong with it."""
    for allowed in (limits, _NO_LIMITS):
        with suppress(QjetError):
            return read_payload(payload, allowed)
    return None
