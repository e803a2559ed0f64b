"""Reading a stored message directly, and by way of its stream's leader: the same message."""

import asyncio

import pytest
from nats.aio.client import Client as NatsClient
from nats.js.api import StreamConfig

from qjet_shared.broker import Broker
from qjet_shared.errors import BrokerUnavailableError
from qjet_shared.moments import stored_at
from tests.support.nats import NatsServer

pytestmark = pytest.mark.integration

STREAM = "READS"
NOT_UTF8 = b"NATS/1.0\r\nGood: yes\r\nKV-Operation: \xff\xfe\r\n\r\n"


@pytest.fixture
async def config(nc: NatsClient) -> StreamConfig:
    """A stream that answers directly, with an old and a new message of one subject."""
    config = StreamConfig(name=STREAM, subjects=["reads.>"], allow_direct=True)
    js = nc.jetstream()
    await js.add_stream(config)
    await js.publish("reads.a.one", b"old", headers={"Task": "1"})
    await js.publish("reads.a.one", b"new")
    await js.publish("reads.empty", b"")
    await js.publish("reads.large", b"x" * 1_000_000)
    await _publish_raw(nc, "reads.bytes", NOT_UTF8, b"\xff\x00")
    return config


async def _publish_raw(nc: NatsClient, subject: str, headers: bytes, data: bytes) -> None:
    """Publish headers as no client would write them."""
    size = len(headers)
    frame = f"HPUB {subject} {size} {size + len(data)}\r\n".encode() + headers + data + b"\r\n"
    await nc._send_command(frame)  # nats-py writes well-formed headers only
    await nc.flush()


async def _read_all(link: Broker) -> list[tuple[object, ...]]:
    found = [
        await link.last(STREAM, "reads.a.one"),
        await link.first(STREAM, "reads.*.one"),
        await link.last(STREAM, "reads.empty"),
        await link.last(STREAM, "reads.large"),
        await link.last(STREAM, "reads.bytes"),
        await link.last(STREAM, "reads.nothing"),
        await link.first(STREAM, "reads.*.nothing"),
    ]
    return [
        (m.data, stored_at(m), {**(m.headers or {}), "Nats-Stream": "", "Nats-Subject": ""})
        if m
        else (None,)
        for m in found
    ]


async def test_the_leader_tells_what_a_direct_read_tells(
    nc: NatsClient, link: Broker, config: StreamConfig
) -> None:
    """Data, headers, sequence and time are the same, of any bytes; so is that there is nothing."""
    direct = await _read_all(link)
    await nc.jetstream().update_stream(config.evolve(allow_direct=False))
    assert await _read_all(link) == direct
    assert [each[0] and each[0][:3] for each in direct] == [
        b"new",
        b"old",
        b"",
        b"xxx",
        b"\xff\x00",
        None,
        None,
    ]
    assert all(each[1] for each in direct[:5]), "all have their time"


async def test_a_stream_may_change_the_way_it_answers(
    nc: NatsClient, link: Broker, config: StreamConfig
) -> None:
    """Copies are added to a stream, and taken away again, under a service that goes on reading."""
    for allow_direct in (True, False, True, False):
        await nc.jetstream().update_stream(config.evolve(allow_direct=allow_direct))
        found = await link.last(STREAM, "reads.a.one")
        assert found is not None
        assert found.data == b"new"


@pytest.mark.usefixtures("config")
async def test_a_missing_stream_is_not_a_missing_message(nc: NatsClient, link: Broker) -> None:
    """Where the stream is gone, nobody can tell whether a task was accepted."""
    assert await link.last(STREAM, "reads.nothing") is None
    await nc.jetstream().delete_stream(STREAM)
    with pytest.raises(BrokerUnavailableError):
        await link.last(STREAM, "reads.nothing")


async def test_many_subjects_are_read_at_once(link: Broker, config, nc: NatsClient):
    """Each newest message that is there, once, directly and by the leader, however large."""
    js = nc.jetstream()
    for number in range(600):
        await js.publish(f"reads.many.{number}", b"old")
        await js.publish(f"reads.many.{number}", b"%d" % number + b"x" * (number % 50) * 100)
    for number in (7, 300, 599):
        await js.publish(f"reads.many.{number}", b"y" * 900_000)
    names = [f"reads.many.{number}" for number in range(-300, 900)] + ["reads.*.one"]
    direct = await _read_many(link, names)
    assert len(direct) == 601
    assert direct["reads.a.one"] == b"new"
    assert direct["reads.many.599"] == b"y" * 900_000
    assert direct["reads.many.123"] == b"123" + b"x" * 2300
    await js.update_stream(config.evolve(allow_direct=False))
    assert await _read_many(link, names) == direct
    assert await _read_many(link, names) == direct
    assert await _read_many(link, ["reads.none", "reads.nothing"]) == {}
    assert await _read_many(link, []) == {}


async def test_a_lost_connection_ends_a_read_of_many(link: Broker, config, broker: NatsServer):
    """It fails as soon as there is another connection, rather than after its time is up."""
    await _read_many(link, ["reads.empty"])
    broker.pause()
    reading = asyncio.create_task(_read_many(link, ["reads.empty"]))
    await asyncio.sleep(0)
    broker.kill()
    broker.start()
    with pytest.raises(BrokerUnavailableError):
        async with asyncio.timeout(4):
            await reading


async def _read_many(link: Broker, names: list[str]) -> dict[str, bytes]:
    found = [(msg.headers["Nats-Subject"], msg.data) async for msg in link.last_of(STREAM, names)]
    assert len(dict(found)) == len(found)
    return dict(found)
