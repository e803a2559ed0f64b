"""Lanes: large tasks do not make small ones wait, nor small ones large ones."""

import json
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from nats.aio.client import Client as NatsClient

from tests.support.circuits import BELL, ENDLESS
from tests.support.services import Service, service
from tests.support.tasks import final, stream_messages
from tests.support.tasks import submit as publish
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

LARGE = (
    'OPENQASM 3; include "stdgates.inc"; qubit[25] q; bit[25] c; '
    + "".join(f"h q[{n}]; " for n in range(25)) * 2
    + "c = measure q;"
)
"""Takes a second or more on one core."""


@pytest.fixture
async def http(gateway: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gateway.url) as session:
        yield session


async def submit(http: aiohttp.ClientSession, qc: str, **options: object) -> str:
    async with http.post("/tasks", json={"qc": qc, **options}) as response:
        assert response.status == 202
        return (await response.json())["task_id"]


@pytest.mark.parametrize("sandboxes", [1, 2])
@pytest.mark.parametrize("door", ["http", "nats"])
async def test_bell_tasks_overtake_ten_large_ones(http, broker, nc, tmp_path, sandboxes, door):
    """With ten 25-qubit tasks queued before them, Bell tasks still answer in under a second."""
    with service("executor", broker.url, tmp_path, sandboxes=sandboxes):
        for number in range(10):
            if door == "http":
                await submit(http, LARGE)
            else:
                await publish(nc, f"large-{number}", LARGE)
        running = await nc.subscribe("qjet.events.*.running")
        await running.next_msg(10)
        for _ in range(5):
            start = time.perf_counter()
            task_id = await submit(http, BELL)
            async with http.get(f"/tasks/{task_id}?wait=10") as response:
                assert (await response.json())["status"] == "completed"
            assert time.perf_counter() - start < 1
        info = await nc.jetstream().consumer_info("QJET_TASKS", "executors-large")
        assert info.num_pending + info.num_ack_pending > 3  # the large ones did wait meanwhile


async def test_a_large_task_gets_its_turn_among_small_ones(http, broker, nc, tmp_path):
    """However many small tasks are queued, a large one starts."""
    for _ in range(400):
        await submit(http, BELL)
    with service("executor", broker.url, tmp_path, sandboxes=1):
        large = await submit(http, LARGE)
        task = await final(nc, large)
    assert task["status"] == "completed"
    assert task["timings"]["queue"] < 10


async def test_a_large_task_submitted_over_nats_changes_its_lane(executor, nc: NatsClient):
    """Its caller cannot know lanes: it is moved once, keeps its age, and is still one task."""
    await publish(nc, "blocker", {"qc": ENDLESS, "timeout_s": 3})
    await publish(nc, "moved", {"qc": LARGE, "name": "mine"})

    async def subjects() -> dict[str, int]:
        info = await nc.jetstream().stream_info("QJET_TASKS", subjects_filter=">")
        return dict(info.state.subjects or {})

    async def is_moved() -> bool:
        return set(await subjects()) >= {"qjet.tasks.large.moved"} and (
            "qjet.submit.moved" not in await subjects()
        )

    await wait_until(is_moved, "the task is in the large lane")
    await publish(nc, "moved", {"qc": LARGE, "name": "twice"})
    task = await final(nc, "moved")
    assert (task["name"], task["attempts"]) == ("mine", 1)
    assert task["timings"]["queue"] > 1
    await wait_until(lambda: _has(nc, "QJET_RESULTS", 2), "two tasks, two results")


async def _has(nc: NatsClient, stream: str, count: int) -> bool:
    return await stream_messages(nc, stream) == count


async def test_a_moved_task_is_read_as_pending_since_it_was_submitted(http, executor, nc):
    """Over HTTP nobody sees that it moved."""
    await publish(nc, "blocker", {"qc": ENDLESS, "timeout_s": 4})
    await publish(nc, "moved", LARGE)

    async def read() -> dict:
        async with http.get("/tasks/moved") as response:
            return json.loads(await response.text())

    before = await read()
    await wait_until(lambda: _is_in_lane(nc, "moved"), "the task is in the large lane")
    after = await read()
    assert after["status"] == before["status"] == "pending"
    assert after["created_at"] == before["created_at"]


async def _is_in_lane(nc: NatsClient, task_id: str) -> bool:
    info = await nc.jetstream().stream_info("QJET_TASKS", subjects_filter="qjet.tasks.large.*")
    return f"qjet.tasks.large.{task_id}" in (info.state.subjects or {})
