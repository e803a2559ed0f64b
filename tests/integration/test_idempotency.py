"""Idempotency-Key: one task per key, from any gateway, across cuts and restarts."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import aiohttp
import pytest
from nats.aio.client import Client as NatsClient

from tests.support.circuits import BELL, ENDLESS
from tests.support.services import Service, service
from tests.support.tasks import final, stream_messages
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

Answer = tuple[int, dict[str, str]]


@pytest.fixture
async def http(gateway: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gateway.url) as session:
        yield session


async def submit(http: aiohttp.ClientSession, key: str, body: dict | bytes) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    async with http.post("/tasks", data=data, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def test_the_same_key_and_submission_give_the_same_task(http, executor, nc: NatsClient):
    """While it waits, once it has run, and however the JSON is written."""
    first = await submit(http, "k", {"qc": BELL, "shots": 9})
    assert first[0] == 202
    assert await submit(http, "k", {"shots": 9, "qc": BELL}) == first
    await final(nc, first[1]["task_id"])
    assert await submit(http, "k", {"qc": BELL, "shots": 9}) == first
    assert await submit(http, "k", {"qc": BELL, "shots": 9, "method": "automatic"}) == first
    plain = await submit(http, "defaults", {"qc": BELL})
    assert await submit(http, "defaults", {"qc": BELL, "shots": 1024, "tags": []}) == plain
    other = await submit(http, "another", {"qc": BELL, "shots": 9})
    assert other[1]["task_id"] != first[1]["task_id"]


@pytest.mark.parametrize("is_finished", [False, True])
async def test_the_same_key_with_another_submission_is_refused(
    http, broker, nc, tmp_path, is_finished
):
    """409 while the first waits and after it has run; nothing is stored for the second."""
    _, accepted = await submit(http, "k", {"qc": BELL, "shots": 9})
    if is_finished:
        with service("executor", broker.url, tmp_path, sandboxes=1):
            await final(nc, accepted["task_id"])
    status, problem = await submit(http, "k", {"qc": BELL, "shots": 10})
    assert (status, problem["code"]) == (409, "conflict")
    assert await stream_messages(nc, "QJET_TASKS") == (0 if is_finished else 1)


async def test_many_at_once_from_two_gateways_are_one_task(http, broker, nc, tmp_path):
    """Forty submissions of one key through two gateways: one id, one message."""
    async with aiohttp.ClientSession() as session:
        with service("gateway", broker.url, tmp_path) as other:
            session._base_url = http._base_url.__class__(other.url)
            doors = [http, session] * 20
            answers = await asyncio.gather(*(submit(door, "k", {"qc": BELL}) for door in doors))
    assert {status for status, _ in answers} == {202}
    assert len({body["task_id"] for _, body in answers}) == 1
    assert await stream_messages(nc, "QJET_TASKS") == 1


async def test_of_two_different_submissions_at_once_one_is_refused(http, nc: NatsClient):
    """Whichever is first: one task, and everybody who asked for the other one gets a 409."""
    for number in range(10):
        before = await stream_messages(nc, "QJET_TASKS")
        bodies = [{"qc": BELL, "shots": 1}, {"qc": ENDLESS, "shots": 2}] * 4
        answers = await asyncio.gather(*(submit(http, f"k{number}", body) for body in bodies))
        accepted = {
            body["shots"]
            for body, (status, _) in zip(bodies, answers, strict=True)
            if status == 202
        }
        assert len(accepted) == 1
        assert {status for status, _ in answers} == {202, 409}
        assert await stream_messages(nc, "QJET_TASKS") == before + 1


async def test_a_retry_after_everything_restarted_gives_the_same_task(broker, nc, tmp_path):
    """Gateway and broker killed after the answer: a new gateway knows the key."""
    with service("resultstore", broker.url, tmp_path):
        with service("gateway", broker.url, tmp_path) as gateway:
            async with aiohttp.ClientSession(gateway.url) as http:
                first = await submit(http, "k", {"qc": BELL})
            gateway.process.kill()
            gateway.process.wait()
        broker.kill()
        broker.start()
        with service("gateway", broker.url, tmp_path) as gateway:
            async with aiohttp.ClientSession(gateway.url) as http:
                assert await submit(http, "k", {"qc": BELL}) == first
                assert (await submit(http, "k", {"qc": ENDLESS}))[0] == 409
        await wait_until(lambda: nc.is_connected, "the test's client is back")
        assert await stream_messages(nc, "QJET_TASKS") == 1


async def test_a_client_cut_off_in_the_middle_retries_into_one_task(gateway: Service, nc):
    """Hung up on at every moment of the request: the retry with the same key is the same task."""
    host, port = gateway.url.removeprefix("http://").split(":")
    body = json.dumps({"qc": BELL}).encode()
    async with aiohttp.ClientSession(gateway.url) as http:
        for delay_ms in range(12):
            key = f"cut-{delay_ms}"
            head = f"POST /tasks HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {key}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(head.encode() + body)
            await writer.drain()
            await asyncio.sleep(delay_ms / 2000)
            writer.transport.abort()
            status, _ = await submit(http, key, {"qc": BELL})
            assert status == 202
            assert await stream_messages(nc, "QJET_TASKS") == delay_ms + 1


async def test_a_deleted_task_frees_its_key(http, executor, nc: NatsClient):
    """After DELETE the key may stand for something else, at once."""
    _, accepted = await submit(http, "k", {"qc": BELL, "shots": 5})
    task_id = accepted["task_id"]
    await final(nc, task_id)
    async with http.delete(f"/tasks/{task_id}") as response:
        assert response.status == 204
    assert (await submit(http, "k", {"qc": BELL, "shots": 6}))[0] == 202
    assert (await final(nc, task_id))["shots"] == 6


async def test_a_cancelled_task_keeps_its_key(http, nc: NatsClient):
    """The key stands for the cancelled task, not for a new one."""
    first = await submit(http, "k", {"qc": BELL})
    async with http.post(f"/tasks/{first[1]['task_id']}/cancel") as response:
        assert response.status == 200
    assert await submit(http, "k", {"qc": BELL}) == first
    assert (await submit(http, "k", {"qc": ENDLESS}))[0] == 409
    assert await stream_messages(nc, "QJET_TASKS") == 0


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "a\tb"])
async def test_what_is_no_key_is_refused(http, key):
    """422 and the header's name."""
    status, problem = await submit(http, key, {"qc": BELL})
    assert (status, problem["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_a_key_goes_with_a_nats_request_too(http, nc: NatsClient):
    """The micro service takes the same header, and HTTP knows the task."""
    headers = {"Idempotency-Key": "k"}
    payload = json.dumps({"qc": BELL}).encode()
    answers = [
        json.loads((await nc.request("qjet.api.submit", payload, 5, headers=headers)).data)
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert (await submit(http, "k", {"qc": BELL}))[1] == answers[0]


async def test_a_claim_without_a_task_is_taken_over(http, nc: NatsClient):
    """A gateway that died between claim and task leaves a key that the same client can retry."""
    _, accepted = await submit(http, "k", {"qc": BELL})
    await nc.jetstream().purge_stream("QJET_TASKS")
    assert await submit(http, "k", {"qc": BELL}) == (202, accepted)
    assert await stream_messages(nc, "QJET_TASKS") == 1
    await nc.jetstream().purge_stream("QJET_TASKS")
    assert (await submit(http, "k", {"qc": ENDLESS}))[0] == 409
    old = json.dumps({"digest": "x", "at": "2020-01-01T00:00:00Z"}).encode()
    await nc.jetstream().publish(f"qjet.keys.{accepted['task_id']}", old)
    assert (await submit(http, "k", {"qc": ENDLESS}))[0] == 202


async def test_a_stopped_broker_is_waited_for_within_the_request(gateway, broker, nc: NatsClient):
    """A submission that meets a short pause of the broker is accepted, once."""
    async with aiohttp.ClientSession(gateway.url) as http:
        key = str(uuid4())
        broker.kill()
        submitting = asyncio.create_task(submit(http, key, {"qc": BELL}))
        await asyncio.sleep(0.5)  # the pause itself
        broker.start()
        status, _ = await submitting
    assert status == 202
    await wait_until(lambda: nc.is_connected, "the test's client is back")
    assert await stream_messages(nc, "QJET_TASKS") == 1
