"""Processes that stop without dying, connections that break: one result, and nobody waits long."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from nats.aio.client import Client as NatsClient

from tests.support.circuits import BELL, ENDLESS
from tests.support.services import Service, service
from tests.support.tasks import final, stream_messages, submit
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

ACK_WAIT_S = 2


@pytest.fixture
async def http(gateway: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gateway.url) as session:
        yield session


def metric(running: Service, name: str) -> float:
    for line in running.get("/metrics").decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def freeze(running: Service) -> None:
    """Stop a service and its sandboxes, as a host that hangs does."""
    pid = running.process.pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGSTOP)
    os.kill(pid, signal.SIGSTOP)


def thaw(running: Service) -> None:
    """Let it go on."""
    pid = running.process.pid
    os.kill(pid, signal.SIGCONT)
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGCONT)


async def test_an_executor_frozen_beyond_the_ack_wait_doubles_nothing(
    resultstore, broker, nc: NatsClient, tmp_path
):
    """Another runs its task; thawed, it finds that there is a result. Two starts, one result."""
    events = await nc.subscribe("qjet.events.>")
    options = {"sandboxes": 1, "ack_wait_s": ACK_WAIT_S}
    with service("executor", broker.url, tmp_path, **options) as first:
        await submit(nc, "twice", {"qc": ENDLESS, "timeout_s": 1.5})
        await events.next_msg(10)
        freeze(first)
        try:
            with service("executor", broker.url, tmp_path, **options):
                task = await final(nc, "twice", timeout_s=20)
        finally:
            thaw(first)
        assert task["attempts"] == 2
        await wait_until(
            lambda: metric(first, "qjet_duplicate_results_total") >= 1, "the second is counted"
        )
        assert await stream_messages(nc, "QJET_RESULTS") == 1
        assert await stream_messages(nc, "QJET_EVENTS") == 1
        assert await final(nc, "twice") == task


async def test_a_redelivered_task_with_a_result_is_acknowledged_unrun(executor, nc: NatsClient):
    """Its acknowledgement was lost: delivered again, it is dropped without a start."""
    running = await nc.subscribe("qjet.events.*.running")
    await submit(nc, "done", BELL)
    await final(nc, "done")
    await running.next_msg(5)
    await nc.jetstream().publish(
        "qjet.tasks.default.done", BELL.encode(), headers={"Qjet-Digest": "d"}
    )
    await wait_until(lambda: _is_empty(nc), "it is acknowledged")
    assert metric(executor, "qjet_duplicate_results_total") == 1
    with pytest.raises(TimeoutError):
        await running.next_msg(0.3)


async def _is_empty(nc: NatsClient) -> bool:
    return await stream_messages(nc, "QJET_TASKS") == 0


async def test_a_task_that_executors_die_over_ends_as_exhausted(
    resultstore, broker, nc: NatsClient, tmp_path
):
    """Three executors killed while they hold it: the fourth gives it up, and says so."""
    running = await nc.subscribe("qjet.events.fatal.running")
    await submit(nc, "fatal", {"qc": ENDLESS, "timeout_s": 60})
    options = {"sandboxes": 1, "ack_wait_s": ACK_WAIT_S, "max_deliveries": 3}
    for _ in range(3):
        with service("executor", broker.url, tmp_path, **options) as victim:
            await running.next_msg(20)
            victim.process.kill()
            victim.process.wait()
    with service("executor", broker.url, tmp_path, **options):
        task = await final(nc, "fatal", timeout_s=20)
    assert (task["status"], task["error"]["code"]) == ("error", "delivery_exhausted")
    assert (task["attempts"], "3 of them" in task["error"]["message"]) == (3, True)


async def test_a_sandbox_that_is_killed_each_time_ends_with_its_history(
    resultstore, broker, nc: NatsClient, tmp_path
):
    """Tried again with growing pauses, then `sandbox_crashed`, listing what happened when."""
    running = await nc.subscribe("qjet.events.poison.running")
    options = {"sandboxes": 1, "ack_wait_s": ACK_WAIT_S, "max_attempts": 3}
    with service("executor", broker.url, tmp_path, **options) as executor:
        await submit(nc, "poison", {"qc": ENDLESS, "timeout_s": 60})
        for _ in range(3):
            await running.next_msg(20)
            pid = executor.process.pid
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        task = await final(nc, "poison", timeout_s=20)
    assert (task["error"]["code"], task["attempts"]) == ("sandbox_crashed", 3)
    history = task["error"]["history"]
    assert [(past["delivery"], past["ended"]) for past in history] == [(1, "killed"), (2, "killed")]
    assert all(past["executor"] and past["at"] and "signal 9" in past["detail"] for past in history)


async def test_a_broker_that_is_away_is_said_at_once(gateway, http, broker, nc: NatsClient):
    """503 with Retry-After, quickly; health says which part; back, everything works by itself."""
    broker.kill()
    for most_s in (4.0, 0.5, 0.5):  # the first one waits out what might be a restart
        start = time.monotonic()
        async with http.post("/tasks", json={"qc": BELL}) as response:
            problem = await response.json(content_type=None)
            assert (response.status, problem["code"]) == (503, "broker_unavailable")
            assert int(response.headers["Retry-After"]) >= 1
        assert time.monotonic() - start < most_s
    async with http.get("/health") as response:
        health = await response.json()
        assert (response.status, health["components"]["nats"]) == (503, "unhealthy")
        assert health["components"]["api"] == "healthy"
    async with http.get("/health/live") as response:
        assert response.status == 200
    broker.start()

    async def accepted() -> bool:
        async with http.post("/tasks", json={"qc": BELL}) as response:
            return response.status == 202

    await wait_until(accepted, "submissions are accepted again", timeout_s=10)


async def test_executors_go_on_without_a_broker_and_deliver_afterwards(
    executor, resultstore, broker, nc: NatsClient
):
    """The task ends while the broker is away; its result is there soon after it is back."""
    events = await nc.subscribe("qjet.events.alone.running")
    await submit(nc, "alone", {"qc": ENDLESS, "timeout_s": 2})
    event = json.loads((await events.next_msg(10)).data)
    broker.kill()
    await asyncio.sleep(4)  # the outage itself, longer than the task
    broker.start()
    task = await final(nc, "alone", timeout_s=15)
    assert (task["error"]["code"], task["attempts"]) == ("time_limit", 1)
    assert task["started_at"] == event["at"]
    assert await stream_messages(nc, "QJET_RESULTS") == 1


async def test_a_cancel_during_a_cut_reaches_the_executor_afterwards(
    executor, gateway, http, nc: NatsClient
):
    """An executor that missed the announcement looks for results once it is connected again."""
    running = await nc.subscribe("qjet.events.missed.running")
    await submit(nc, "missed", ENDLESS)
    await running.next_msg(10)
    os.kill(executor.process.pid, signal.SIGSTOP)  # it hears nothing, and its connection breaks
    try:
        async with http.post("/tasks/missed/cancel") as response:
            assert response.status == 200
    finally:
        os.kill(executor.process.pid, signal.SIGCONT)
    wanted = 'qjet_sandbox_restarts_total{reason="cancelled"}'
    await wait_until(lambda: metric(executor, wanted) == 1, "its sandbox is killed")
