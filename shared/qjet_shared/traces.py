"""What a task leaves in the streams, and how it is removed without touching another's.

An id can be used again once its task has expired or was deleted. So nothing is ever removed by its
name alone: what is there is listed first, by sequence number, then it is made sure whose it is, and
only what was listed is removed.
"""

import asyncio
from datetime import datetime
from typing import NamedTuple

from nats.aio.msg import Msg

from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.moments import stored_at


class Trace(NamedTuple):
    """One message in a stream."""

    stream: str
    sequence: int


async def has_expired(broker: Broker, key: str) -> bool:
    """Whether a task's final state was announced and its entry is gone. Raises as `Broker.last`."""
    if await broker.entry(key):
        return False
    if not await broker.first(subjects.EVENTS_STREAM, subjects.final(key, "*")):
        return False
    return await broker.entry(key) is None  # it may have come between the two looks


async def left_by(broker: Broker, key: str) -> list[Trace]:
    """List what a finished task has left: result, events, history, claim. Raises as `last`."""
    found = await asyncio.gather(
        _all(broker, subjects.RESULTS_STREAM, subjects.result_of(key)),
        _all(broker, subjects.EVENTS_STREAM, subjects.final(key, "*")),
        _all(broker, subjects.EVENTS_STREAM, subjects.history_of(key)),
        _all(broker, subjects.EVENTS_STREAM, subjects.key_claim(key)),
    )
    return [trace for traces in found for trace in traces]


async def waiting(broker: Broker, task_id: str) -> list[tuple[Trace, Msg]]:
    """List what is in the queue under an id. Raises as `last`.

    An id that is a wildcard names other people's tasks; its own ends as an error anyway.
    """
    if not subjects.is_literal(task_id):
        return []
    found = await asyncio.gather(
        *(
            broker.first(subjects.TASKS_STREAM, subject)
            for subject in subjects.names_of_task(task_id)
        )
    )
    return [(Trace(subjects.TASKS_STREAM, sequence_of(msg)), msg) for msg in found if msg]


async def remove(broker: Broker, traces: list[Trace]) -> None:
    """Remove messages; those that are gone already are fine.

    A purge by subject would be one request, but it makes a consumer with a wider filter forget
    messages that it waits for the acknowledgement of: they are never delivered again (seen with
    nats-server 2.15.1).

    Raises:
        BrokerUnavailableError: JetStream does not answer.
    """
    for trace in traces:
        await broker.remove(trace.stream, trace.sequence)


def sequence_of(msg: Msg) -> int:
    """Return the sequence number of a message that was read directly."""
    return int((msg.headers or {})[subjects.SEQUENCE])


def created_at(msg: Msg) -> datetime | None:
    """Return when a waiting task was submitted: where it was moved since, a header tells."""
    try:
        return datetime.fromisoformat((msg.headers or {}).get(subjects.CREATED_AT, ""))
    except ValueError:
        return stored_at(msg)


async def _all(broker: Broker, stream: str, subject: str) -> list[Trace]:
    traces: list[Trace] = []
    while msg := await broker.first(
        stream, subject, start=traces[-1].sequence + 1 if traces else 1
    ):
        traces.append(Trace(stream, sequence_of(msg)))
    return traces
