"""Messages that somebody made up, or that broke on their way: no task is lost, nobody fails."""

import json
import socket
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from nats.aio.client import Client as NatsClient

from qjet_gateway.idempotency import task_id_of_key
from tests.support.circuits import BELL, ENDLESS
from tests.support.nats import NatsServer
from tests.support.raw_nats import Message, RawNats
from tests.support.services import Service, service
from tests.support.tasks import final, submit
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

FINISHED = {
    "task_id": "t",
    "status": "completed",
    "message": "Task completed.",
    "finished_at": "2024-01-01T00:00:00Z",
}


@pytest.fixture
async def http(gateway: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gateway.url) as session:
        yield session


@pytest.fixture
def raw(broker: NatsServer) -> Iterator[RawNats]:
    connection = RawNats(broker.url)
    yield connection
    connection.close()


@pytest.mark.parametrize("status", ["cancelled", "completed"])
async def test_an_end_that_nobody_decided_ends_no_task(executor, nc: NatsClient, status):
    """An announcement without a result, late or made up: the task runs on to its own end."""
    running = await nc.subscribe("qjet.events.t.running")
    await submit(nc, "t", {"qc": ENDLESS, "timeout_s": 1})
    await running.next_msg(10)
    await nc.publish(f"qjet.events.t.{status}", b"{}")
    task = await final(nc, "t")
    assert (task["error"]["code"], task["attempts"]) == ("time_limit", 1)


@pytest.mark.parametrize("note", [b"junk", b'[{"ended": "tired"}]', b"\xff"])
async def test_a_note_that_nobody_can_read_is_no_note(
    resultstore, broker, nc: NatsClient, tmp_path, note
):
    """A task that comes back runs, whatever stands where its history should."""
    js = nc.jetstream()
    await submit(nc, "t", BELL)
    queue = await js.pull_subscribe_bind("executors", stream="QJET_TASKS")
    await (await queue.fetch(1))[0].nak()
    await js.publish("qjet.history.t", note)
    with service("executor", broker.url, tmp_path, sandboxes=1):
        task = await final(nc, "t")
    assert (task["status"], task["attempts"]) == ("completed", 2)


@pytest.mark.parametrize(
    "claim",
    [
        b"junk",
        b'{"digest": "d", "at": "2024-01-01T00:00:00"}',
        b'{"digest": "d", "at": "2999-01-01T00:00:00Z"}',
    ],
)
async def test_a_claim_that_nobody_can_have_made_claims_nothing(http, nc: NatsClient, claim):
    """Unreadable, without a time zone, from the future: the key is free."""
    await nc.jetstream().publish(f"qjet.keys.{task_id_of_key('k')}", claim)
    headers = {"Idempotency-Key": "k"}
    async with http.post("/tasks", json={"qc": BELL}, headers=headers) as response:
        assert response.status == 202


async def test_a_large_result_that_is_gone_is_no_internal_error(gateway, http, nc: NatsClient):
    """Reading shows the task without it, deleting removes what is left."""
    task = {**FINISHED, "blob": {"name": "gone", "size_bytes": 1}}
    await nc.jetstream().publish("qjet.results.t", json.dumps(task).encode())
    await final(nc, "t")
    async with http.get("/tasks/t") as response:
        assert (response.status, (await response.json())["status"]) == (200, "completed")
    async with http.delete("/tasks/t") as response:
        assert response.status == 204
    assert not errors(gateway)


@pytest.mark.parametrize(
    "headers", [b"NATS/1.0 408 \xff\n\n", b"NATS/1.0\r\n\r\n", b"NATS/1.0\r\nA: b\n\n", b"NATS/1.0"]
)
async def test_a_broken_header_hides_none_of_the_brokers(
    gateway, http, nc: NatsClient, raw: RawNats, headers
):
    """A result is found and deleted though it was published with headers that are none."""
    stored = raw.publish(Message(b"qjet.results.t", headers, json.dumps(FINISHED).encode()))
    assert raw.answer(stored)
    await final(nc, "t")
    async with http.delete("/tasks/t") as response:
        assert response.status == 204
    assert not errors(gateway)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /tasks?\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"DELETE / HTTP/1.1\r\nHost: q\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_what_is_no_http_is_refused_without_a_fuss(gateway, data):
    """It is answered with an error of the client's, and no service logs an error of its own."""
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        connection.sendall(data)
        assert connection.recv(4096).startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/9.9 4"))
    await wait_until(lambda: gateway.get("/health/live"), "it still answers")
    assert not errors(gateway)


def errors(running: Service) -> list[dict[str, object]]:
    return [line for line in running.log_lines() if line["level"] in {"ERROR", "CRITICAL"}]
