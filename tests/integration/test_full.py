"""A full queue and a full broker: refused with a word, nothing half-accepted, open again."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import aiohttp
import nats
import pytest
from nats.aio.client import Client as NatsClient

from tests.support.circuits import BELL
from tests.support.nats import NatsServer, nats_server
from tests.support.services import service
from tests.support.tasks import stream_messages
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

MOST = 50


async def post(http: aiohttp.ClientSession) -> tuple[int, dict[str, str], str]:
    """Submit; return status, body and `Retry-After`."""
    async with http.post("/tasks", json={"qc": BELL}) as response:
        body = await response.json(content_type=None)
        return response.status, body, response.headers.get("Retry-After", "")


async def test_a_full_queue_pushes_back_and_opens_again(
    broker: NatsServer, nc: NatsClient, tmp_path: Path
):
    """Of 200 submissions at once exactly 50 are taken; drained, the queue takes more."""
    with (
        service("resultstore", broker.url, tmp_path, queue_max_tasks=MOST),
        service("gateway", broker.url, tmp_path) as gateway,
    ):
        async with aiohttp.ClientSession(gateway.url) as http:
            answers = await asyncio.gather(*(post(http) for _ in range(200)))
            assert Counter(status for status, _, _ in answers) == {202: MOST, 429: 150}
            for status, body, retry_after in answers:
                if status == 429:
                    assert body["code"] == "queue_full"
                    assert int(retry_after) > 0
            assert await stream_messages(nc, "QJET_TASKS") == MOST
            await refused_over_nats(nc)
            assert await stream_messages(nc, "QJET_TASKS") == MOST

            accepted = [body["task_id"] for status, body, _ in answers if status == 202]
            with service("executor", broker.url, tmp_path, sandboxes=1):
                for task_id in accepted:
                    async with http.get(f"/tasks/{task_id}?wait=30") as response:
                        assert (await response.json())["status"] == "completed"
                assert (await post(http))[0] == 202
                ack = json.loads((await nc.request("qjet.submit.again", BELL.encode())).data)
                assert ack["stream"] == "QJET_TASKS"


async def refused_over_nats(nc: NatsClient) -> None:
    """Check that both of NATS's doors refuse, each in its way."""
    ack = json.loads((await nc.request("qjet.submit.one-more", BELL.encode())).data)
    assert ack["error"]["description"] == "maximum messages exceeded"
    answer = await nc.request("qjet.api.submit", BELL.encode(), timeout=5)
    assert answer.headers["Nats-Service-Error-Code"] == "429"
    assert json.loads(answer.data)["code"] == "queue_full"


async def test_a_broker_at_its_own_limit_is_said_at_once_and_opens_again(tmp_path: Path):
    """JetStream's limit for all streams: 503 with Retry-After, nothing stored; then accepted."""
    with (
        nats_server(jetstream="max_file_store: 4MB") as broker,
        service("resultstore", broker.url, tmp_path, queue_max_bytes=1_000_000),
        service("gateway", broker.url, tmp_path) as gateway,
    ):
        nc = await nats.connect(broker.url)
        js = nc.jetstream()
        await js.add_stream(name="OTHER", subjects=["other"])
        for _ in range(5):
            await js.publish("other", b"x" * 900_000)
        async with aiohttp.ClientSession(gateway.url) as http:
            status, problem, retry_after = await post(http)
            assert (status, problem["code"]) == (503, "broker_unavailable")
            assert "insufficient resources" in problem["detail"]
            assert int(retry_after) > 0
            assert await stream_messages(nc, "QJET_TASKS") == 0
            await js.purge_stream("OTHER")
            assert (await post(http))[0] == 202
        await nc.close()


async def test_a_queue_too_large_for_the_broker_names_the_setting(tmp_path: Path):
    """Streams that cannot be made are said in log and health, with what to change."""
    with (
        nats_server(jetstream="max_file_store: 10MB") as broker,
        service("resultstore", broker.url, tmp_path, ready=False) as resultstore,
        service("gateway", broker.url, tmp_path, ready=False) as gateway,
    ):

        def trouble() -> str:
            return json.loads(gateway.get("/health") or b"{}")["details"].get("nats", "")

        await wait_until(lambda: "QJET_QUEUE_MAX_BYTES" in trouble(), "health names the setting")
        assert "1024 MiB" in trouble()
        failed = [line for line in resultstore.log_lines() if line["event"] == "assets.failed"]
        assert "QJET_QUEUE_MAX_BYTES" in str(failed[0]["error"])
