"""A long queue: no service's memory grows with it, and it does not slow down what is asked."""

import asyncio
import json
import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import nats
import pytest
from nats.aio.client import Client as NatsClient
from nats.js import JetStreamContext

from qjet_shared.ids import new_task_id
from tests.support.circuits import BELL
from tests.support.nats import nats_server
from tests.support.services import Service, service
from tests.support.tasks import stream_messages
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

QUEUED = 200_000
RUN_AT_LEAST = 300
MOST_GROWTH_MIB = 4.0
"""Twenty bytes for each queued task would be that much."""

SLOWEST_MS = 100.0
RESULTS = "KV_qjet-results"
FIGURES = ("/metrics", "/health")

_AT_ONCE = 4_000


def rss_mib(running: Service) -> float:
    """Return the resident memory of a service's process."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def queue(js: JetStreamContext, task_ids: list[str]) -> None:
    """Publish a Bell circuit under each id, many in flight."""
    payload = json.dumps({"qc": BELL, "seed": 1}).encode()
    for start in range(0, len(task_ids), _AT_ONCE):
        part = task_ids[start : start + _AT_ONCE]
        acks = [await js.publish_async(f"qjet.tasks.default.{i}", payload) for i in part]
        await asyncio.gather(*acks)


async def ask(http: aiohttp.ClientSession, path: str, *, times: int = 20) -> float:
    """Ask some times; return the median of the milliseconds an answer took."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        async with http.get(path) as response:
            await response.read()
        took.append(1000 * (time.perf_counter() - start))
    return statistics.median(took)


async def run_more(nc: NatsClient) -> None:
    """Wait until some hundred tasks more have a result."""
    goal = await stream_messages(nc, RESULTS) + RUN_AT_LEAST

    async def reached() -> bool:
        return await stream_messages(nc, RESULTS) >= goal

    await wait_until(reached, f"{goal} tasks have run", timeout_s=60)


@contextmanager
def paused(running: Service) -> Iterator[None]:
    """Stop a process as it is, for as long as the block."""
    os.kill(running.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(running.process.pid, signal.SIGCONT)


async def test_nothing_grows_with_the_queue(tmp_path: Path):
    """With 200,000 tasks waiting, read, counted, run: each service is as large as it was before.

    And a task in their middle is read as quickly as any.
    """
    with (
        nats_server(jetstream='sync_interval: "2m"') as broker,
        service("resultstore", broker.url, tmp_path) as resultstore,
        service("executor", broker.url, tmp_path, sandboxes=1) as executor,
        service("gateway", broker.url, tmp_path) as gateway,
    ):
        services = {"gateway": gateway, "executor": executor, "resultstore": resultstore}
        nc = await nats.connect(broker.url)
        async with aiohttp.ClientSession(gateway.url) as http:
            warm = [
                new_task_id() for _ in range(2 * RUN_AT_LEAST)
            ]  # some run while they are queued
            await queue(nc.jetstream(), warm)
            await run_more(nc)
            for path in (f"/tasks/{warm[0]}", "/tasks/unknown", *FIGURES):
                await ask(http, path)
            before = {name: rss_mib(running) for name, running in services.items()}

            waiting = [new_task_id() for _ in range(QUEUED)]
            with paused(executor):
                await queue(nc.jetstream(), waiting)
                assert await stream_messages(nc, "QJET_TASKS") >= QUEUED
            await run_more(nc)
            middle = f"/tasks/{waiting[QUEUED // 2]}"
            async with http.get(middle) as response:
                assert (await response.json())["status"] == "pending"
            took_ms = {path: await ask(http, path) for path in (middle, "/tasks/unknown", *FIGURES)}
            after = {name: rss_mib(running) for name, running in services.items()}
        await nc.close()
    growth_mib = {name: after[name] - before[name] for name in services}
    assert max(growth_mib.values()) < MOST_GROWTH_MIB, growth_mib
    assert max(took_ms.values()) < SLOWEST_MS, took_ms
