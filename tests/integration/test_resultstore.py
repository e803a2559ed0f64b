"""The resultstore with a real broker: one entry and one announcement per task."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient

from tests.support.services import Service, service
from tests.support.tasks import entry, final, stream_messages
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def result(task_id: str, **fields: Any) -> bytes:
    """Build a result as an executor publishes it."""
    now = datetime.now(UTC).isoformat()
    task = {"task_id": task_id, "status": "completed", "message": "", "finished_at": now}
    return json.dumps({**task, "result": {"0": 1}, **fields}).encode()


async def publish(nc: NatsClient, task_id: str, payload: bytes) -> None:
    """Store a message on the results stream."""
    await nc.jetstream().publish(f"qjet.results.{task_id}", payload)


async def all_acknowledged(nc: NatsClient, count: int) -> bool:
    """Whether the resultstore is done with `count` results."""
    info = await nc.jetstream().consumer_info("QJET_RESULTS", "resultstore")
    return info.ack_floor is not None and info.ack_floor.stream_seq == count


async def test_the_first_result_wins(resultstore: Service, nc: NatsClient):
    """A second result for a task changes nothing and is counted."""
    await publish(nc, "t", result("t", result={"0": 1}))
    await publish(nc, "t", result("t", status="error", result=None))
    await wait_until(lambda: all_acknowledged(nc, 2), "both results are acknowledged")
    assert (await entry(nc, "t"))["result"] == {"0": 1}
    text = resultstore.get("/metrics").decode()
    assert 'qjet_results_stored_total{outcome="completed"} 1.0' in text
    assert "qjet_duplicate_results_total 1.0" in text


async def test_a_final_state_is_announced_once(resultstore: Service, nc: NatsClient):
    """Two results, one event; those who listen hear it once."""
    heard = await nc.subscribe("qjet.events.>")
    await nc.flush()
    await publish(nc, "t", result("t"))
    await publish(nc, "t", result("t"))
    await wait_until(lambda: all_acknowledged(nc, 2), "both results are acknowledged")
    event = await heard.next_msg(5)
    assert event.subject == "qjet.events.t.completed"
    assert json.loads(event.data)["status"] == "completed"
    with pytest.raises(TimeoutError):
        await heard.next_msg(0.3)
    assert await stream_messages(nc, "QJET_EVENTS") == 1


async def test_the_announcement_is_made_up_for_after_a_crash(broker, nc: NatsClient, tmp_path):
    """Killed between entry and event: the next resultstore announces what stands."""
    with service("resultstore", broker.url, tmp_path):
        bucket = await nc.jetstream().key_value("qjet-results")
    await bucket.create("t", result("t"))
    await publish(nc, "t", result("t", status="error"))
    heard = await nc.subscribe("qjet.events.>")
    await nc.flush()
    with service("resultstore", broker.url, tmp_path):
        assert (await heard.next_msg(10)).subject == "qjet.events.t.completed"


async def test_an_unreadable_result_of_a_quoted_id_keeps_its_key(resultstore, nc: NatsClient):
    """The entry stands where readers of that id look, whatever was in the message."""
    await publish(nc, "a=2Eb", b"?")
    assert (await final(nc, "a=2Eb"))["status"] == "error"


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b'{"task_id": "other"}', b"{" * 5000])
async def test_an_unreadable_result_still_ends_its_task(
    resultstore: Service, nc: NatsClient, payload
):
    """Whatever came, the task has a final state and the stream moves on."""
    await publish(nc, "t", payload)
    task = await final(nc, "t")
    assert (task["status"], task["error"]["code"]) == ("error", "simulation_failed")
    await wait_until(lambda: all_acknowledged(nc, 1), "the message is acknowledged")


async def test_entries_expire(broker, nc: NatsClient, tmp_path):
    """QJET_RESULT_TTL is how long a result is kept; the stream keeps its own an hour at least."""
    with service("resultstore", broker.url, tmp_path, result_ttl=1):
        await publish(nc, "t", result("t"))
        await final(nc, "t")

        async def is_gone() -> bool:
            return await entry(nc, "t") is None

        await wait_until(is_gone, "the entry has expired")
    results = await nc.jetstream().stream_info("QJET_RESULTS")
    assert results.config.max_age == 3600


async def test_settings_are_brought_to_existing_streams(broker, nc: NatsClient, tmp_path):
    """A restart with another TTL changes the streams, and keeps what they hold."""
    with service("resultstore", broker.url, tmp_path, result_ttl=7200):
        await publish(nc, "t", result("t"))
        await final(nc, "t")
    with service("resultstore", broker.url, tmp_path, result_ttl=9000, queue_max_tasks=77):
        assert await entry(nc, "t")
    jsm = nc.jetstream()
    assert (await jsm.stream_info("KV_qjet-results")).config.max_age == 9000
    assert (await jsm.stream_info("QJET_RESULTS")).config.max_age == 9000
    assert (await jsm.stream_info("QJET_TASKS")).config.max_msgs == 77


async def test_several_resultstores_share_the_work(
    resultstore: Service, broker, nc: NatsClient, tmp_path
):
    """Two on one consumer: each result is stored once, by one of them."""
    with service("resultstore", broker.url, tmp_path) as second:
        names = [f"t{number}" for number in range(300)]
        await asyncio.gather(*(publish(nc, name, result(name)) for name in names))
        await wait_until(lambda: all_acknowledged(nc, 300), "all results are acknowledged")
        stored = [
            float(line.rsplit(" ", 1)[1])
            for each in (resultstore, second)
            for line in each.get("/metrics").decode().splitlines()
            if line.startswith("qjet_results_stored_total{")
        ]
    assert sum(stored) == 300
    assert await stream_messages(nc, "KV_qjet-results") == 300
    assert await stream_messages(nc, "QJET_EVENTS") == 300


async def test_a_bad_setting_is_named_and_ends_with_code_2(broker, tmp_path):
    """A value that does not fit is said on standard error, with its variable."""
    with service("resultstore", broker.url, tmp_path, ready=False, result_ttl="soon") as running:
        assert running.process.wait(30) == 2
        assert "QJET_RESULT_TTL='soon'" in running.log_file.read_text()
