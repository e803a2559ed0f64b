"""What the gateway hears of the others: heartbeats, tasks that start, tasks that end.

All of it lives in memory and is told again within a second: who is alive, which tasks run where,
and, for long polls, when a task reaches its end.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
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
_EVENTS: Final = msgspec.json.Decoder(Event)


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


class Watch:
    """Some tasks whose ends somebody waits for; `over` is set once all were announced."""

    def __init__(self, task_ids: Iterable[str]) -> None:
        self.over = asyncio.Event()
        self._awaited = set(task_ids)
        self._heard: set[str] = set()

    def await_only(self, task_ids: Iterable[str]) -> None:
        """Wait for these from now on, but for those whose end was heard since the last time."""
        self._awaited = set(task_ids) - self._heard
        self._heard.clear()
        self.over.clear()
        if not self._awaited:
            self.over.set()

    async def wait(self, seconds: float) -> bool:
        """Wait until it is over, or for some seconds; tell whether it is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()
        return self.over.is_set()

    def hear(self, task_id: str) -> None:
        """Take note of a task's end."""
        self._heard.add(task_id)
        self._awaited.discard(task_id)
        if not self._awaited:
            self.over.set()


class Cluster:
    """Listens, and answers from what it heard."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._instances: dict[str, _Instance] = {}
        self._watched: dict[str, list[Watch]] = {}
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
            for watch in watchers:
                watch.over.set()

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

    @property
    def running_ids(self) -> set[str]:
        """The tasks that run now."""
        heard = (i.running for i in self._instances.values() if i.was_heard_lately)
        return set[str]().union(*heard)

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

    def expected_of(self, task_ids: Iterable[str]) -> list[str]:
        """Return which of some tasks were accepted here and not announced final yet."""
        return [task_id for task_id in task_ids if task_id in self._unfinished]

    def expects(self, task_id: str) -> bool:
        """Whether a task was accepted here and its end was not announced yet."""
        return task_id in self._unfinished

    @contextmanager
    def watching(self, task_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when the task is announced final."""
        with self.watching_all([task_id]) as watch:
            yield watch.over

    @contextmanager
    def watching_all(self, task_ids: Sequence[str]) -> Iterator[Watch]:
        """Watch tasks for their ends, as long as the context lasts."""
        watch = Watch(task_ids)
        for task_id in task_ids:
            self._watched.setdefault(task_id, []).append(watch)
        try:
            yield watch
        finally:
            for task_id in task_ids:
                self._unwatch(task_id, watch)

    def _unwatch(self, task_id: str, watch: Watch) -> None:
        watchers = self._watched[task_id]
        watchers.remove(watch)
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
            event = _EVENTS.decode(msg.data)
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
            for watch in self._watched.get(event.task_id, ()):
                watch.hear(event.task_id)

    def _forget_the_silent(self) -> None:
        now = time.monotonic()
        for name, instance in list(self._instances.items()):
            if now - instance.heard_at > _FORGET_S:
                del self._instances[name]
