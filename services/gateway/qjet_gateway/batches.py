"""Waits for batches and shows them, however large, a bounded piece at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec

from qjet_gateway.cluster import Cluster, Watch
from qjet_gateway.errors import NotFoundError
from qjet_gateway.reader import Reader
from qjet_gateway.survey import PIECE_BYTES, Survey
from qjet_shared.batches import batch_name
from qjet_shared.broker import Broker

_LOOK_AGAIN_S: Final = 1.0
_LOOK_AGAIN_AT_MOST_S: Final = 8.0
"""An announcement may be lost with a connection; looking at a thousand tasks costs something."""


class BatchReader:
    """Reads batches; writes nothing."""

    def __init__(self, broker: Broker, reader: Reader, cluster: Cluster) -> None:
        self._broker = broker
        self._reader = reader
        self._cluster = cluster

    async def survey(self, batch_id: str, *, wait_s: float, is_full: bool) -> Survey:
        """Look at a batch, at once or as soon as all of it is final within `wait_s` seconds.

        Raises:
            NotFoundError: there is no such batch, or nothing of it is left.
            BrokerUnavailableError: not all could be read.
        """
        batch = batch_name(batch_id)
        if batch is None:
            raise NotFoundError
        kept_bytes = PIECE_BYTES if is_full else 0
        survey = Survey(self._broker, self._cluster, batch.task_ids, keep_bytes=kept_bytes)
        with self._cluster.watching_all(batch.task_ids) as watch:
            await self._settle(survey, watch, wait_s)
        if survey.is_empty:
            raise NotFoundError
        return survey

    async def bodies(self, survey: Survey, piece: Sequence[str]) -> bytes:
        """Return a piece of a survey as JSON, with commas between the tasks.

        Raises:
            BrokerUnavailableError: not all could be read.
        """
        return b",".join(await survey.bodies(piece, self._reader))

    async def _settle(self, survey: Survey, watch: Watch, wait_s: float) -> None:
        """Look at all tasks, and again until they are final or time is up.

        What was just accepted here is waited for first, for it is too early to look. Meanwhile only
        ends are looked for; where the rest is costs more, and is asked when it matters.
        """
        loop = asyncio.get_running_loop()
        deadline, pause_s = loop.time() + wait_s, _LOOK_AGAIN_S
        awaited = self._cluster.expected_of(survey.open_ids) if wait_s else []
        is_known = not awaited
        if is_known:
            awaited = await survey.look()
        while awaited and not (is_known and self._is_time(deadline)):
            watch.await_only(awaited)
            is_over = await watch.wait(min(deadline - loop.time(), pause_s))
            is_known = is_over or self._is_time(deadline)
            awaited = await (survey.look() if is_known else survey.look_for_ends(awaited))
            pause_s = min(2 * pause_s, _LOOK_AGAIN_AT_MOST_S)

    def _is_time(self, deadline: float) -> bool:
        return self._cluster.is_closing or asyncio.get_running_loop().time() >= deadline


async def as_json(
    batch_id: str, survey: Survey, bodies: Callable[[list[str]], Awaitable[bytes]]
) -> AsyncIterator[bytes]:
    """Yield a batch with its finished tasks in full as JSON; `bodies` gives each piece's."""
    counts = msgspec.json.encode(survey.counts())
    text = b'{"batch_id":"%b","counts":%b,"tasks":[' % (batch_id.encode(), counts)
    for number, piece in enumerate(survey.pieces()):
        if number:
            yield text
            text = b","
        text += await bodies(piece)
    yield text + b"]}"
