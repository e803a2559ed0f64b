"""Keeps the streams: makes them as configured, and closes the queue before the disk is full.

A full disk is much worse than a full queue: from the first write that fails, nats-server leaves
every publish to that stream without an answer until it is started again, deletions included. So new
tasks are refused while there is still room for the results of those that were accepted.
"""

import asyncio
import logging
import os
from typing import Final

import nats.errors
import nats.js.errors
import stamina

from qjet_resultstore.settings import ResultstoreSettings
from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.errors import QjetError, translated
from qjet_shared.streams import ensure_assets

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 1.0
_CLOSED_BYTES: Final = 1
"""A stream of one byte takes no message at all."""

_OPEN_AGAIN: Final = 1.1
"""This much more than the reserve has to be free, so that the queue does not flutter."""

_NO_ROOM: Final = 10047
"""JetStream cannot reserve what a stream asks for (nats-server `server/errors.json`)."""


class Keeper:
    """The one who makes the streams and watches over their disk."""

    def __init__(self, broker: Broker, settings: ResultstoreSettings) -> None:
        self._broker = broker
        self._policy = settings.policy
        self._store_dir = settings.store_dir
        self._reserve_bytes = settings.disk_reserve_bytes
        self._disk_trouble: str | None = None
        self._assets_trouble: str | None = None
        self._reconnected = asyncio.Event()
        broker.on_reconnect(self._reconnected.set)

    @property
    def trouble(self) -> str | None:
        """What keeps the broker from taking tasks: a sentence for operators, or nothing."""
        return self._disk_trouble or self._assets_trouble

    @stamina.retry(
        on=(nats.errors.Error, nats.js.errors.Error, OSError),
        attempts=None,
        timeout=None,
        wait_max=5.0,
    )
    async def make_assets(self) -> None:
        """Make the streams as configured; tries for as long as it takes."""
        try:
            await ensure_assets(self._broker.js, self._policy)
        except nats.errors.Error as exc:
            self._assets_trouble = self._sentence(exc)
            log.warning("assets.failed", extra={"error": self._assets_trouble})
            raise
        self._assets_trouble = None
        log.info("assets.ready")

    async def keep(self) -> None:
        """Keep the streams there, and the queue closed while the disk is full, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_disk(), name="resultstore.disk")
            group.create_task(self._remake_assets(), name="resultstore.assets")

    async def _remake_assets(self) -> None:
        """Make them again after each reconnection: a broker may come back without its disk."""
        while True:
            await self._reconnected.wait()
            self._reconnected.clear()
            await self.make_assets()

    async def _watch_disk(self) -> None:
        """Close the queue when too little is free, and open it when enough is, for ever."""
        while self._store_dir is not None:
            try:
                await self._look(_free_bytes(self._store_dir))
            except (QjetError, nats.errors.Error, OSError) as exc:
                log.warning("disk.unwatched", extra={"error": str(exc) or type(exc).__name__})
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self, free_bytes: int) -> None:
        wanted = self._reserve_bytes * (_OPEN_AGAIN if self._disk_trouble else 1)
        is_low = free_bytes < wanted
        self._disk_trouble = self._low(free_bytes) if is_low else None
        await self._set_queue(is_open=not is_low, free_bytes=free_bytes)

    async def _set_queue(self, *, is_open: bool, free_bytes: int) -> None:
        """Bring the queue's limit to what it should be; somebody else may have changed it."""
        most = self._policy.queue_max_bytes if is_open else _CLOSED_BYTES
        with translated(subjects.TASKS_STREAM):
            config = (await self._broker.js.stream_info(subjects.TASKS_STREAM)).config
            if config.max_bytes == most:
                return
            await self._broker.js.update_stream(config.evolve(max_bytes=most))
        log.log(
            logging.INFO if is_open else logging.ERROR,
            "queue.opened" if is_open else "queue.closed",
            extra={"disk_free_bytes": free_bytes, "disk_reserve_bytes": self._reserve_bytes},
        )

    def _low(self, free_bytes: int) -> str:
        return (
            f"The broker's disk has {_mib(free_bytes)} free; with less than "
            f"{_mib(self._reserve_bytes)} (QJET_DISK_RESERVE_BYTES) no new task is taken."
        )

    def _sentence(self, exc: nats.errors.Error) -> str:
        if isinstance(exc, nats.js.errors.APIError) and exc.err_code == _NO_ROOM:
            return (
                f"The broker has no room for a queue of {_mib(self._policy.queue_max_bytes)}; "
                "lower QJET_QUEUE_MAX_BYTES, or give the broker more (max_file_store)."
            )
        return f"The streams cannot be made: {exc}."


def _free_bytes(folder: str) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):.0f} MiB"
