"""Crowds of messages are stored together, and each is told what became of it."""

import asyncio

import pytest
from nats.aio.client import Client as NatsClient
from nats.js.api import DiscardPolicy, StreamConfig

from qjet_shared import subjects
from qjet_shared.broker import EXPECT_EMPTY, Broker
from qjet_shared.errors import AlreadyThereError, BrokerUnavailableError, QueueFullError
from qjet_shared.requests import Outgoing

pytestmark = pytest.mark.integration

STREAM = subjects.TASKS_STREAM
CROWD = 400


@pytest.fixture
async def stream(nc: NatsClient) -> StreamConfig:
    """A queue that takes batches."""
    config = StreamConfig(
        name=STREAM, subjects=["qjet.tasks.>"], allow_atomic=True, discard=DiscardPolicy.NEW
    )
    await nc.jetstream().add_stream(config)
    return config


def subject(number: int) -> str:
    return f"qjet.tasks.default.{number}"


async def publish_crowd(link: Broker) -> list[BaseException | None]:
    """Publish all at once and return what each was told."""
    return await asyncio.gather(
        *(link.publish(subject(n), b"%d" % n, EXPECT_EMPTY) for n in range(CROWD)),
        return_exceptions=True,
    )


async def stored(nc: NatsClient) -> dict[str, int]:
    info = await nc.jetstream().stream_info(STREAM, subjects_filter=">")
    return dict(info.state.subjects or {})


async def test_a_crowd_goes_in_batches_and_each_message_once(nc, link, stream):
    """Few go alone; all are there."""
    assert await publish_crowd(link) == [None] * CROWD
    assert await stored(nc) == {subject(n): 1 for n in range(CROWD)}
    messages = [await nc.jetstream().get_msg(STREAM, seq) for seq in range(1, CROWD + 1)]
    alone = [m for m in messages if "Nats-Batch-Id" not in (m.headers or {})]
    assert len(alone) < CROWD / 4
    assert all(m.data == m.subject.rsplit(".", 1)[1].encode() for m in messages)


async def test_one_that_is_refused_takes_no_other_with_it(nc, link, stream):
    """Whoever was first stays; the others of its batch are stored all the same."""
    taken = (0, 100, CROWD - 1)
    for number in taken:
        await link.publish(subject(number), b"first")
    told = await publish_crowd(link)
    assert [n for n, word in enumerate(told) if isinstance(word, AlreadyThereError)] == list(taken)
    assert [word for n, word in enumerate(told) if n not in taken] == [None] * (CROWD - len(taken))
    assert await stored(nc) == {subject(n): 1 for n in range(CROWD)}


async def test_a_full_stream_takes_what_fits(nc, link, stream):
    """As many are told that they are stored as are; all the others that it is full."""
    await nc.jetstream().update_stream(stream.evolve(max_msgs=150))
    told = await publish_crowd(link)
    assert told.count(None) == 150 == len(await stored(nc))
    assert sum(isinstance(word, QueueFullError) for word in told) == CROWD - 150


async def test_a_broker_that_dies_amid_a_crowd_loses_nothing(nc, broker, link, stream):
    """What is told to be stored is; what is not can be tried again and is then there once."""
    crowd = asyncio.create_task(publish_crowd(link))
    await asyncio.sleep(0.01)
    broker.kill()
    broker.start()
    told = await crowd
    there = await stored(nc)
    assert {subject(n) for n, word in enumerate(told) if word is None} <= there.keys()
    expected = (BrokerUnavailableError, AlreadyThereError)  # stored, and the word of it was lost
    assert all(word is None or isinstance(word, expected) for word in told)
    again = await publish_crowd(link)
    assert all(word is None or isinstance(word, AlreadyThereError) for word in again)
    assert await stored(nc) == {subject(n): 1 for n in range(CROWD)}


async def test_all_or_none(nc, link, stream):
    """Of messages that belong together, one that is refused keeps all out."""
    batch = [Outgoing(subject(n), b"", EXPECT_EMPTY) for n in range(50)]
    await link.publish(subject(30), b"")
    with pytest.raises(AlreadyThereError):
        await link.publish_all(batch)
    assert await stored(nc) == {subject(30): 1}
    await link.publish_all([one for n, one in enumerate(batch) if n != 30])
    assert await stored(nc) == {subject(n): 1 for n in range(50)}
