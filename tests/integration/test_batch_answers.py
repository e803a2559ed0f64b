"""Answers about batches that are larger than what is held at once, with a real broker."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from nats.aio.client import Client as NatsClient

from tests.support.batches import accepted_batch, counts_of, get_batch, store_result
from tests.support.circuits import COIN_20
from tests.support.services import Service

pytestmark = pytest.mark.integration


@pytest.fixture
async def http(gateway: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gateway.url) as session:
        yield session


async def test_a_batch_far_larger_than_a_piece_comes_whole(http, nc: NatsClient):
    """Megabytes of entries are sent in pieces, each task once and in order."""
    body = await accepted_batch(http, *[{}] * 12)
    for number, task_id in reversed(list(enumerate(body["task_ids"]))):
        await store_result(nc, task_id, {f"{number:0{(number % 3) * 300_000 + 8}b}": 1024})
    status, batch = await get_batch(http, body["batch_id"], wait=30, results="true")
    assert (status, batch["counts"]["completed"]) == (200, 12)
    assert [task["task_id"] for task in batch["tasks"]] == body["task_ids"]
    for number, task in enumerate(batch["tasks"]):
        (key,) = task["result"]
        assert (int(key, 2), len(key)) == (number, (number % 3) * 300_000 + 8)


class TestLargeAnswers:
    """Forty results of 900 kB."""

    @pytest.fixture
    async def path(self, http, nc: NatsClient) -> str:
        """Give the address of a batch that has finished."""
        body = await accepted_batch(http, *[{}] * 40)
        for task_id in body["task_ids"]:
            await store_result(nc, task_id, {"1" * 900_000: 1024})
        path = f"/batches/{body['batch_id']}"
        assert await counts_of(http, body["batch_id"], wait=30) == {"completed": 40}
        return path + "?results=true"

    async def test_an_answer_is_never_held_as_a_whole(self, http, path, gateway: Service):
        """Sending 36 MB takes a few MB of memory."""
        before = most_memory_mib(gateway)
        async with http.get(path) as response:
            assert len(await response.read()) > 36_000_000
        assert most_memory_mib(gateway) - before < 12

    async def test_a_broker_that_restarts_meanwhile_is_waited_for(self, http, path, broker):
        """The answer is whole all the same."""
        async with http.get(path) as response:
            start = await response.content.readexactly(1000)
            broker.kill()
            broker.start()
            batch = json.loads(start + await response.content.read())
        assert [len(task.get("result", {})) for task in batch["tasks"]] == [1] * 40

    async def test_an_answer_that_cannot_be_finished_is_cut(self, http, path, broker):
        """The client notices, and the gateway goes on."""
        async with http.get(path) as response:
            await response.content.readexactly(1000)
            broker.kill()
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()
        async with http.get("/health/live") as response:
            assert response.status == 200

    async def test_a_client_may_leave_in_the_middle(self, http, path, gateway: Service):
        """Nobody is told of it as of a fault."""
        async with http.get(path) as response:
            await response.content.readexactly(1000)
            response.close()
        async with http.get(path) as response:
            assert len(await response.read()) > 36_000_000
        assert "http.failed" not in {line["event"] for line in gateway.log_lines()}


def most_memory_mib(running: Service) -> float:
    """Return the most memory a service has had."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


async def test_results_too_large_for_a_message_are_whole_in_a_batch(http, executor):
    """What lies in the object store comes in its place, as for a task alone."""
    large = {"qc": COIN_20, "shots": 100_000, "method": "statevector", "seed": 1}
    body = await accepted_batch(http, {}, large, {})
    _, batch = await get_batch(http, body["batch_id"], wait=60, results="true")
    assert [sum(task["result"].values()) for task in batch["tasks"]] == [1024, 100_000, 1024]
    assert "blob" not in batch["tasks"][1]
    async with http.get(f"/tasks/{body['task_ids'][1]}") as response:
        assert await response.json() == batch["tasks"][1]
