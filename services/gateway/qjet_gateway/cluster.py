"""What the gateway hears of the others: heartbeats, tasks that start, tasks that end.

All of it lives in memory and is told again within a second: who is alive, which tasks run where,
and, for long polls, when a task reaches its end.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.messages import UNREADABLE
from qjet_shared.messages.notices import Event, Heartbeat, RunningTask
from qjet_shared.messages.task import FINAL_STATUSES

_LIVE_S: Final = 5.0
_FORGET_S: Final = 60.0
_MOST_EXPECTED: Final = 10_000


class Running(Struct, frozen=True, kw_only=True):
    """A task that some executor works on."""

    executor: str
    task: RunningTask


class _Instance:
    """What one process last said."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self.heard_at = time.monotonic()
        self.heartbeat = heartbeat
        self.running = {task.task_id: task for task in heartbeat.running}

    @property
    def was_heard_lately(self) -> bool:
        return time.monotonic() - self.heard_at < _LIVE_S

    @property
    def is_live(self) -> bool:
        return self.heartbeat.is_ready and self.was_heard_lately


class Cluster:
    """Listens, and answers from what it heard."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._instances: dict[str, _Instance] = {}
        self._watched: dict[str, list[asyncio.Event]] = {}
        self._unfinished: dict[str, None] = {}
        self.is_closing = False

    async def start(self) -> None:
        """Subscribe. Needs a connection once; subscriptions outlive reconnections."""
        await self._broker.nc.listen(subjects.HEARTBEATS_ALL, self._hear_heartbeat)
        for status in ("running", *sorted(FINAL_STATUSES)):
            await self._broker.nc.listen(subjects.events(status), self._hear_event)

    def close(self) -> None:
        """End every wait now; whoever waits answers with the state there is."""
        self.is_closing = True
        for watchers in self._watched.values():
            for changed in watchers:
                changed.set()

    def live(self, service: str) -> int:
        """How many ready processes of a service were heard of in the last seconds."""
        return sum(i.is_live and i.heartbeat.service == service for i in self._instances.values())

    @property
    def broker_trouble(self) -> str | None:
        """What somebody who was heard lately finds wrong with the broker, if anything."""
        heard = (i.heartbeat for i in self._instances.values() if i.was_heard_lately)
        return next((h.broker_trouble for h in heard if h.broker_trouble), None)

    @property
    def running_count(self) -> int:
        """How many tasks run now, also on executors that take no more."""
        return sum(len(i.running) for i in self._instances.values() if i.was_heard_lately)

    def running(self, task_id: str) -> Running | None:
        """Where a task runs now, if it does."""
        for name, instance in self._instances.items():
            if instance.was_heard_lately and task_id in instance.running:
                return Running(executor=name, task=instance.running[task_id])
        return None

    def expect(self, task_id: str) -> None:
        """Remember, for the most recent tasks, that one was accepted here and has not ended."""
        self._unfinished[task_id] = None
        if len(self._unfinished) > _MOST_EXPECTED:
            del self._unfinished[next(iter(self._unfinished))]

    def expects(self, task_id: str) -> bool:
        """Whether a task was accepted here and its end was not announced yet."""
        return task_id in self._unfinished

    @contextmanager
    def watching(self, task_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when the task is announced final."""
        changed = asyncio.Event()
        self._watched.setdefault(task_id, []).append(changed)
        try:
            yield changed
        finally:
            watchers = self._watched[task_id]
            watchers.remove(changed)
            if not watchers:
                del self._watched[task_id]

    def _hear_heartbeat(self, msg: Msg) -> None:
        try:
            heartbeat = msgspec.json.decode(msg.data, type=Heartbeat)
        except UNREADABLE:
            return
        self._instances[heartbeat.instance] = _Instance(heartbeat)
        self._forget_the_silent()

    def _hear_event(self, msg: Msg) -> None:
        try:
            event = msgspec.json.decode(msg.data, type=Event)
        except UNREADABLE:
            return
        if event.status == "running" and event.executor in self._instances:
            running = RunningTask(
                task_id=event.task_id, started_at=event.at, attempt=event.attempt or 1
            )
            self._instances[event.executor].running[event.task_id] = running
        elif event.status in FINAL_STATUSES:
            self._unfinished.pop(event.task_id, None)
            for instance in self._instances.values():
                instance.running.pop(event.task_id, None)
            for changed in self._watched.get(event.task_id, ()):
                changed.set()

    def _forget_the_silent(self) -> None:
        now = time.monotonic()
        for name, instance in list(self._instances.items()):
            if now - instance.heard_at > _FORGET_S:
                del self._instances[name]
