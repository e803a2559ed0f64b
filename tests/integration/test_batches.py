"""Batches over HTTP: all or none, read at once, and told truthfully, with a real broker."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from nats.aio.client import Client as NatsClient

from qjet_gateway.batch_entrance import BatchEntrance
from qjet_gateway.cluster import Cluster
from qjet_shared.batches import LARGEST_BATCH
from qjet_shared.broker import Broker
from qjet_shared.ids import new_task_id
from qjet_shared.metrics import GatewayMetrics
from qjet_shared.submissions import Limits, read_batch
from tests.support.batches import accepted_batch, counts_of, get_batch, post_batch, store_result
from tests.support.circuits import BELL, ENDLESS
from tests.support.services import Service, service
from tests.support.tasks import final, stream_messages
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

LARGE = {"qc": BELL.replace("h q[0];", "for int i in [0:9] { h q[0]; }")}


@pytest.fixture
async def http(gateway: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gateway.url) as session:
        yield session


async def test_a_batch_is_on_disk_when_it_is_answered(http, nc: NatsClient):
    """202 with the batch's address; each task is a message, in its lane, and a task like any."""
    async with http.post("/batches", json={"tasks": [{"qc": BELL, "shots": 7}, LARGE]}) as response:
        body = await response.json()
        assert response.status == 202
        assert response.headers["Location"] == f"/batches/{body['batch_id']}"
    state = await nc.jetstream().stream_info("QJET_TASKS", subjects_filter=">")
    first, second = body["task_ids"]
    assert set(state.state.subjects) == {
        f"qjet.tasks.default.{first}",
        f"qjet.tasks.large.{second}",
    }
    async with http.get(f"/tasks/{first}") as response:
        task = await response.json()
    assert (task["status"], task["shots"]) == ("pending", 7)
    status, batch = await get_batch(http, body["batch_id"])
    assert status == 200
    assert batch["tasks"] == [{"task_id": t, "status": "pending"} for t in body["task_ids"]]
    assert batch["counts"]["pending"] == 2


async def test_each_task_of_a_batch_is_announced_as_pending(http, nc: NatsClient):
    """As that of a single submission is."""
    heard = await nc.subscribe("qjet.events.*.pending")
    await nc.flush()
    body = await accepted_batch(http, {}, {}, {})
    events = [json.loads((await heard.next_msg(5)).data) for _ in range(3)]
    assert [event["task_id"] for event in events] == body["task_ids"]


async def test_one_bad_task_refuses_the_batch(http, nc: NatsClient):
    """The problem names its place, and nothing is stored."""
    status, problem = await post_batch(http, {}, {}, {"shots": 0})
    assert (status, problem["code"]) == (422, "validation")
    assert [error["field"] for error in problem["errors"]] == ["tasks[2].shots"]
    assert await stream_messages(nc, "QJET_TASKS") == 0


async def test_the_largest_batch_is_taken_and_a_larger_one_is_not(http, nc: NatsClient):
    """As many as the broker takes at once."""
    body = await accepted_batch(http, *[{}] * LARGEST_BATCH)
    assert await stream_messages(nc, "QJET_TASKS") == LARGEST_BATCH
    assert await counts_of(http, body["batch_id"]) == {"pending": LARGEST_BATCH}
    status, problem = await post_batch(http, *[{}] * (LARGEST_BATCH + 1))
    assert (status, problem["errors"][0]["field"]) == (422, "tasks")


async def test_a_batch_that_does_not_fit_the_queue_is_refused_whole(broker, nc, tmp_path):
    """429 with Retry-After and none accepted, though some would fit; a smaller one is taken."""
    with (
        service("resultstore", broker.url, tmp_path, queue_max_tasks=10),
        service("gateway", broker.url, tmp_path) as gateway,
    ):
        async with aiohttp.ClientSession(gateway.url) as http:
            await accepted_batch(http, *[{}] * 4)
            async with http.post("/batches", json={"tasks": [{"qc": BELL}] * 7}) as response:
                problem = await response.json(content_type=None)
                assert (response.status, problem["code"]) == (429, "queue_full")
                assert int(response.headers["Retry-After"]) > 0
            assert await stream_messages(nc, "QJET_TASKS") == 4
            await accepted_batch(http, *[{}] * 6)
            assert await stream_messages(nc, "QJET_TASKS") == 10


async def test_a_task_too_large_for_a_message_is_named(broker, resultstore, nc, tmp_path):
    """413 with its index, where bodies may be larger than messages."""
    with service("gateway", broker.url, tmp_path, max_body_bytes=4_000_000) as gateway:
        async with aiohttp.ClientSession(gateway.url) as http:
            status, problem = await post_batch(http, {}, {"qc": "x" * 1_100_000})
            assert (status, problem["code"]) == (413, "payload_too_large")
            assert "tasks[1]" in problem["detail"]
            assert await stream_messages(nc, "QJET_TASKS") == 0
            await accepted_batch(http, *[{"qc": "x" * 1_000_000}] * 3)


@pytest.mark.parametrize("wait", [0, 0.2])
@pytest.mark.parametrize(
    "batch_id", ["never-was", "*-x2", "01a1b2c3-d4e5-7f60-8a9b-0c1d2e3f4a5b-x9"]
)
async def test_an_unknown_batch_is_not_found(http, batch_id, wait):
    """Whether it has the form of a batch's id or not."""
    await accepted_batch(http, {})
    status, problem = await get_batch(http, batch_id, wait=wait)
    assert (status, problem["code"]) == (404, "not_found")


@pytest.mark.parametrize(("name", "text"), [("wait", "soon"), ("results", "maybe")])
async def test_a_query_that_makes_no_sense_is_refused(http, name, text):
    """And named."""
    status, problem = await get_batch(http, "x", **{name: text})
    assert (status, problem["errors"][0]["field"]) == (422, name)


async def test_all_counts_come_with_one_request(http, executor):
    """Awaited to the last task, each in full as it is alone, errors too, in order."""
    seeds = [{"seed": seed, "shots": 20 + seed} for seed in range(40)]
    body = await accepted_batch(http, *seeds, {"qc": "nonsense"}, LARGE)
    status, batch = await get_batch(http, body["batch_id"], wait=30, results="true")
    assert status == 200
    assert (batch["counts"]["completed"], batch["counts"]["error"]) == (41, 1)
    assert [task["task_id"] for task in batch["tasks"]] == body["task_ids"]
    for seed in seeds:
        assert sum(batch["tasks"][seed["seed"]]["result"].values()) == seed["shots"]
    for task in batch["tasks"]:
        async with http.get(f"/tasks/{task['task_id']}") as response:
            assert await response.json() == task
    brief = await get_batch(http, body["batch_id"], wait=30)
    states = [{name: task[name] for name in ("task_id", "status")} for task in batch["tasks"]]
    assert brief[1]["tasks"] == states


async def test_a_long_poll_ends_with_the_states_there_are(http, executor):
    """What has finished has; what has not is running, and is told so."""
    body = await accepted_batch(http, {}, {"qc": ENDLESS}, {})

    async def is_running() -> bool:
        return await counts_of(http, body["batch_id"]) == {"running": 1, "completed": 2}

    await wait_until(is_running, "two of three have finished")
    assert await counts_of(http, body["batch_id"], wait=0.3) == {"running": 1, "completed": 2}
    _, batch = await get_batch(http, body["batch_id"], wait=0.1, results="true")
    assert [len(task) > 2 for task in batch["tasks"]] == [True, False, True]
    poll = asyncio.create_task(counts_of(http, body["batch_id"], wait=30))
    async with http.post(f"/tasks/{body['task_ids'][1]}/cancel") as response:
        assert response.status == 200
    assert await poll == {"completed": 2, "cancelled": 1}


async def test_a_poll_by_a_gateway_that_did_not_accept_the_batch_ends_too(
    http, executor, broker, tmp_path
):
    """Any gateway hears of the ends."""
    with service("gateway", broker.url, tmp_path) as other:
        async with aiohttp.ClientSession(other.url) as session:
            body = await accepted_batch(http, *[{}] * 50)
            assert await counts_of(session, body["batch_id"], wait=30) == {"completed": 50}


async def test_deleted_tasks_are_gone_and_so_is_a_batch_of_them(http, executor):
    """Not pending, not completed; and with the last one, the batch is unknown."""
    body = await accepted_batch(http, {}, {})
    await counts_of(http, body["batch_id"], wait=30)
    first, second = body["task_ids"]
    assert (await http.delete(f"/tasks/{first}")).status == 204
    _, batch = await get_batch(http, body["batch_id"], results="true")
    assert batch["counts"] == {**dict.fromkeys(batch["counts"], 0), "completed": 1, "gone": 1}
    assert batch["tasks"][0] == {"task_id": first, "status": "gone"}
    assert (await http.delete(f"/tasks/{second}")).status == 204
    assert (await get_batch(http, body["batch_id"]))[0] == 404


async def test_expired_tasks_are_gone(broker, nc, tmp_path):
    """A result lives for its time; its leftovers in other streams do not bring it back."""
    with (
        service("resultstore", broker.url, tmp_path, result_ttl=2),
        service("gateway", broker.url, tmp_path) as gateway,
        service("executor", broker.url, tmp_path, sandboxes=1),
    ):
        async with aiohttp.ClientSession(gateway.url) as http:
            body = await accepted_batch(http, {}, {"qc": ENDLESS})
            await final(nc, body["task_ids"][0])

            async def is_gone() -> bool:
                return await counts_of(http, body["batch_id"]) == {"running": 1, "gone": 1}

            await wait_until(is_gone, "the first result has expired")
            assert await stream_messages(nc, "QJET_RESULTS") == 1


async def test_a_result_on_its_way_is_a_running_task(http, resultstore, nc: NatsClient):
    """Between results stream and bucket, a task of a batch is still in progress."""
    body = await accepted_batch(http, {}, {})
    resultstore.process.send_signal(19)
    try:
        await store_result(nc, body["task_ids"][0], {"0": 1})
        await nc.jetstream().purge_stream(
            "QJET_TASKS", subject="qjet.tasks.*." + body["task_ids"][0]
        )
        assert await counts_of(http, body["batch_id"]) == {"running": 1, "pending": 1}
    finally:
        resultstore.process.send_signal(18)


async def test_an_accepted_batch_survives_the_broker(http, broker, nc: NatsClient):
    """Killed and started again, the broker still has all of it."""
    body = await accepted_batch(http, *[{}] * 300)
    broker.kill()
    status, problem = await post_batch(http, {}, {})
    assert (status, problem["code"]) == (503, "broker_unavailable")
    broker.start()

    async def is_back() -> bool:
        return (await get_batch(http, body["batch_id"]))[0] == 200

    await wait_until(is_back, "the gateway finds the batch again")
    assert await counts_of(http, body["batch_id"]) == {"pending": 300}


@pytest.mark.parametrize("size", [1, 20])
async def test_a_batch_whose_answer_was_lost_is_stored_once(broker, resultstore, nc, size):
    """The gateway may send it again: the broker knows it."""
    connection = Broker(broker.url, name="test")
    connection.start()
    await connection.first_connection()
    submitted = GatewayMetrics().submitted
    entrance = BatchEntrance(connection, Cluster(connection), submitted)
    parts = read_batch(json.dumps({"tasks": [{"qc": BELL}] * size}).encode(), Limits())
    name = new_task_id()
    first = await entrance.admit(name, parts)
    assert await entrance.admit(name, parts) == first
    assert await stream_messages(nc, "QJET_TASKS") == size
    await connection.close()


class TestIdempotency:
    """A key stands for one batch."""

    async def test_the_same_key_and_batch_give_the_same_tasks(self, http, nc, broker, tmp_path):
        """While they wait, from another gateway, and once they have run."""
        tasks = [{"shots": 5}, {"shots": 6}]
        first = await post_batch(http, *tasks, key="k")
        assert first[0] == 202
        assert await post_batch(http, *tasks, key="k") == first
        with service("gateway", broker.url, tmp_path) as other:
            async with aiohttp.ClientSession(other.url) as session:
                assert await post_batch(session, *tasks, key="k") == first
        assert await stream_messages(nc, "QJET_TASKS") == 2
        with service("executor", broker.url, tmp_path, sandboxes=1):
            assert await counts_of(http, first[1]["batch_id"], wait=30) == {"completed": 2}
        assert await post_batch(http, *tasks, key="k") == first
        assert await stream_messages(nc, "QJET_TASKS") == 0
        other_key = await post_batch(http, *tasks, key="another")
        assert other_key[1]["batch_id"] != first[1]["batch_id"]

    @pytest.mark.parametrize("other", [[{"shots": 5}], [{"shots": 6}, {"shots": 5}], [{}] * 9])
    async def test_another_batch_under_the_key_is_refused(self, http, nc, other):
        """Fewer tasks, more, or in another order."""
        await post_batch(http, {"shots": 5}, {"shots": 6}, key="k")
        status, problem = await post_batch(http, *other, key="k")
        assert (status, problem["code"]) == (409, "conflict")
        assert await stream_messages(nc, "QJET_TASKS") == 2

    async def test_many_at_once_are_one_batch(self, http, nc: NatsClient):
        """Twenty submissions of one key side by side: one id, its tasks once."""
        answers = await asyncio.gather(*(post_batch(http, *[{}] * 50, key="k") for _ in range(20)))
        assert {status for status, _ in answers} == {202}
        assert len({body["batch_id"] for _, body in answers}) == 1
        assert await stream_messages(nc, "QJET_TASKS") == 50

    async def test_a_task_and_a_batch_may_share_a_key(self, http, nc: NatsClient):
        """They are different calls."""
        headers = {"Idempotency-Key": "k"}
        async with http.post("/tasks", json={"qc": BELL}, headers=headers) as response:
            assert response.status == 202
        assert (await post_batch(http, {}, key="k"))[0] == 202
        assert await stream_messages(nc, "QJET_TASKS") == 2
