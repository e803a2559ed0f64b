"""Hears events while they happen and reads what the broker holds afterwards.

All with a plain NATS client and the names of the public contract, nothing of qjet's code.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tests.chaos.facts import FINAL_STATUSES, Kept, Run

_BATCH = 500
_POLL_S = 0.5
_FETCH_TIMEOUT_S = 10.0
_BUCKET_STREAM = "KV_qjet-results"


class Witness:
    """What was heard live and is held at the end: `kept`, by task id."""

    def __init__(self, nc: NatsClient) -> None:
        self._nc = nc
        self._js = nc.jetstream(timeout=10)
        self.kept: dict[str, Kept] = {}
        self.overwritten = 0
        self.deliveries = 0

    def of(self, task_id: str) -> Kept:
        """Return the record of one task, a new one where there was none."""
        return self.kept.setdefault(task_id, Kept(task_id))

    async def listen(self) -> None:
        """Hear all events from now on; those told while the broker is away are missed."""
        await self._nc.subscribe("qjet.events.>", cb=self._hear)

    async def settled(self, task_ids: set[str], patience_s: float) -> bool:
        """Wait until the queue and the way to the bucket are empty.

        Returns False once nothing has moved for `patience_s` seconds: a slow machine may take its
        time, a stuck task takes for ever.
        """
        before: tuple[int, ...] = ()
        moved_at = time.monotonic()
        while time.monotonic() < moved_at + patience_s:
            try:
                now = await self._backlog()
            except (NatsError, TimeoutError, OSError):
                now = before
            if now and now[-1] >= len(task_ids) and not any(now[:-1]):
                return True
            if now != before:
                before, moved_at = now, time.monotonic()
            await asyncio.sleep(_POLL_S)
        return False

    async def read(self) -> None:
        """Read everything that the broker holds."""
        for subject, count in (await self._subjects("QJET_TASKS")).items():
            self.of(subject.rsplit(".", 1)[1]).waiting += count
        async for msg in self._stored("QJET_RESULTS"):
            self.of(_last(msg)).results.append(json.loads(msg.data))
        async for msg in self._stored("QJET_EVENTS", "qjet.final.>"):
            _, _, task_id, status = msg.subject.split(".")
            self.of(task_id).finals.append(status)
        async for msg in self._stored(_BUCKET_STREAM):
            self.of(_last(msg)).entry = await self._whole(json.loads(msg.data))
        state = (await self._js.stream_info(_BUCKET_STREAM)).state
        self.overwritten = state.last_seq - state.messages
        consumers = await self._js.consumers_info("QJET_TASKS")
        self.deliveries = sum(one.delivered.consumer_seq for one in consumers if one.delivered)

    async def _hear(self, msg: Msg) -> None:
        _, _, task_id, status = msg.subject.split(".")
        if status in FINAL_STATUSES:
            self.of(task_id).heard.append(status)
        elif status == "running":
            said = json.loads(msg.data)
            run = Run(said["attempt"], datetime.fromisoformat(said["at"]), said["executor"])
            self.of(task_id).runs.append(run)

    async def _backlog(self) -> tuple[int, ...]:
        """Return what is left to do on each step, and last what the bucket has."""
        tasks = await self._js.stream_info("QJET_TASKS")
        results = await self._js.consumer_info("QJET_RESULTS", "resultstore")
        bucket = await self._js.stream_info(_BUCKET_STREAM)
        left = (tasks.state.messages, results.num_pending or 0, results.num_ack_pending or 0)
        return (*left, bucket.state.messages)

    async def _subjects(self, stream: str) -> Counter[str]:
        info = await self._js.stream_info(stream, subjects_filter=">")
        return Counter(info.state.subjects or {})

    async def _stored(self, stream: str, pattern: str = ">") -> AsyncIterator[Msg]:
        """Yield each message of a stream, oldest first."""
        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE)
        puller = await self._js.pull_subscribe(pattern, stream=stream, config=config)
        left = (await puller.consumer_info()).num_pending or 0
        while left:
            for msg in await puller.fetch(min(left, _BATCH), timeout=_FETCH_TIMEOUT_S):
                left -= 1
                yield msg
        await puller.unsubscribe()

    async def _whole(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Put back the counts that are kept apart because they are large, added up by length."""
        if blob := entry.get("blob"):
            store = await self._js.object_store("qjet-blobs")
            async with asyncio.timeout(_FETCH_TIMEOUT_S):
                large = json.loads((await store.get(blob["name"])).data)
            totals: Counter[str] = Counter()
            for outcome, count in large["result"].items():
                totals[f"{len(outcome)} bits"] += count
            return {**entry, "result": dict(totals)}
        return entry


def _last(msg: Msg) -> str:
    return msg.subject.rsplit(".", 1)[1]
