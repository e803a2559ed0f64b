"""Cancel and delete, over HTTP and NATS, against real executors."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import quote

import aiohttp
import pytest
from nats.aio.client import Client as NatsClient
from nats.js.errors import NotFoundError

from tests.support.circuits import BELL, ENDLESS
from tests.support.services import Service, service
from tests.support.tasks import entry, final, stream_messages
from tests.support.tasks import submit as publish
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
async def http(gateway: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gateway.url) as session:
        yield session


async def submit(http: aiohttp.ClientSession, qc: str = BELL, **options: object) -> str:
    async with http.post("/tasks", json={"qc": qc, **options}) as response:
        assert response.status == 202
        return (await response.json())["task_id"]


async def ask(http: aiohttp.ClientSession, method: str, path: str) -> tuple[int, dict]:
    async with http.request(method, path) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else {}


async def _equals(read, wanted) -> bool:
    return await read() == wanted


async def test_a_cancelled_task_never_starts(http, nc: NatsClient, broker, tmp_path):
    """Cancelled while it waits: final at once, out of the queue, and no executor runs it."""
    running = await nc.subscribe("qjet.events.*.running")
    cancelled = await nc.subscribe("qjet.events.*.cancelled")
    task_id = await submit(http, shots=7, name="mine", tags=["a"])
    status, task = await ask(http, "POST", f"/tasks/{task_id}/cancel")
    assert (status, task["status"], task["attempts"]) == (200, "cancelled", 0)
    assert (task["shots"], task["name"], task["tags"]) == (7, "mine", ["a"])
    assert task["finished_at"] >= task["created_at"]
    assert (await ask(http, "GET", f"/tasks/{task_id}"))[1] == task
    assert await entry(nc, task_id) == task
    assert (await cancelled.next_msg(2)).subject == f"qjet.events.{task_id}.cancelled"
    await wait_until(lambda: _is_empty(nc), "the task leaves the queue")
    with service("executor", broker.url, tmp_path, sandboxes=1):
        after = await submit(http)
        await final(nc, after)
    assert (await running.next_msg(2)).subject == f"qjet.events.{after}.running"


async def _is_empty(nc: NatsClient) -> bool:
    return await stream_messages(nc, "QJET_TASKS") == 0


@pytest.mark.parametrize("door", ["http", "nats"])
async def test_a_running_task_stops_within_a_second(http, executor, nc: NatsClient, door):
    """Its sandbox is killed, the delivery acknowledged, and the next task runs."""
    running = await nc.subscribe("qjet.events.*.running")
    await nc.flush()
    task_id = await submit(http, ENDLESS)
    await running.next_msg(10)
    if door == "http":
        status, task = await ask(http, "POST", f"/tasks/{task_id}/cancel")
        assert status == 200
    else:
        task = json.loads((await nc.request("qjet.api.cancel", task_id.encode(), 5)).data)
    assert (task["status"], task["attempts"]) == ("cancelled", 1)
    assert task["executor"]

    def killed() -> bool:
        text = executor.get("/metrics").decode()
        return 'qjet_sandbox_restarts_total{reason="cancelled"} 1.0' in text

    await wait_until(killed, "the sandbox is killed", timeout_s=1)
    await wait_until(lambda: _is_empty(nc), "the task leaves the queue")
    info = await nc.jetstream().consumer_info("QJET_TASKS", "executors-large")
    assert (info.num_ack_pending, info.num_pending) == (0, 0)
    other = await submit(http)
    assert (await final(nc, other))["status"] == "completed"


async def test_cancelling_twice_is_fine_and_unknown_ids_are_not_found(http):
    """The same answer twice; an id that was never submitted gets a 404."""
    task_id = await submit(http)
    first = await ask(http, "POST", f"/tasks/{task_id}/cancel")
    assert await ask(http, "POST", f"/tasks/{task_id}/cancel") == first
    assert first[0] == 200
    status, problem = await ask(http, "POST", "/tasks/nobody/cancel")
    assert (status, problem["code"]) == (404, "not_found")


async def test_a_finished_task_cannot_be_cancelled(http, executor, nc: NatsClient):
    """409, and it stays as it was; over NATS the same."""
    task_id = await submit(http)
    task = await final(nc, task_id)
    status, problem = await ask(http, "POST", f"/tasks/{task_id}/cancel")
    assert (status, problem["code"]) == (409, "conflict")
    answer = await nc.request("qjet.api.cancel", task_id.encode(), 5)
    assert answer.headers["Nats-Service-Error-Code"] == "409"
    assert await entry(nc, task_id) == task


async def test_cancel_and_completion_have_one_winner(http, executor, nc: NatsClient):
    """Cancelled at every moment of their way: who answers 200 is cancelled, who 409 is not."""
    events = await nc.subscribe("qjet.events.>")
    await nc.flush()

    async def race(delay_s: float | None) -> tuple[str, int]:
        task_id = await submit(http, shots=8192, seed=1)  # some ten milliseconds
        await (final(nc, task_id) if delay_s is None else asyncio.sleep(delay_s))
        status, _ = await ask(http, "POST", f"/tasks/{task_id}/cancel")
        return task_id, status

    answers = [await race(number / 2000) for number in range(60)]
    answers.append(await race(None))  # this one has ended for sure
    finals = [json.loads(message.data) for message in await _heard(events)]
    for task_id, status in answers:
        stored = await final(nc, task_id)
        assert stored["status"] == ("cancelled" if status == 200 else "completed")
        said = [e["status"] for e in finals if e["task_id"] == task_id]
        assert [s for s in said if s not in ("pending", "running")] == [stored["status"]]
    assert {status for _, status in answers} == {200, 409}
    assert await stream_messages(nc, "QJET_RESULTS") == len(answers)


async def _heard(subscription) -> list:
    messages = []
    while True:
        try:
            messages.append(await subscription.next_msg(1))
        except TimeoutError:
            return messages


async def test_a_cancel_holds_while_the_resultstore_is_away(gateway, http, resultstore, nc):
    """The answer is the cancelled task; stored once the resultstore is back."""
    task_id = await submit(http)
    resultstore.process.terminate()
    resultstore.process.wait(20)
    status, task = await ask(http, "POST", f"/tasks/{task_id}/cancel")
    assert (status, task["status"]) == (200, "cancelled")
    assert await entry(nc, task_id) is None


async def test_a_deleted_task_is_gone_and_its_id_is_free(http, executor, nc: NatsClient):
    """204, then 404 everywhere; the same id submitted again is a new task with its own result."""
    await publish(nc, "again", {"qc": BELL, "shots": 5})
    await final(nc, "again")
    assert await ask(http, "DELETE", "/tasks/again") == (204, {})
    assert (await ask(http, "GET", "/tasks/again"))[0] == 404
    assert (await ask(http, "DELETE", "/tasks/again"))[0] == 404
    assert await entry(nc, "again") is None
    assert await stream_messages(nc, "QJET_RESULTS") == 0
    assert await stream_messages(nc, "QJET_EVENTS") == 0
    await publish(nc, "again", {"qc": BELL, "shots": 6})
    assert (await final(nc, "again"))["shots"] == 6
    assert await stream_messages(nc, "QJET_EVENTS") == 1


@pytest.mark.parametrize("task_id", ["*", ">", "a.>"])
async def test_a_wildcard_as_an_id_withdraws_nobody_elses_task(http, nc: NatsClient, task_id):
    """Neither a forged result nor a DELETE under such an id touches the queue."""
    waiting = await submit(http)
    token = "".join(c if c.isalnum() else f"={ord(c):02X}" for c in task_id)
    forged = {"task_id": task_id, "status": "cancelled", "finished_at": "2026-01-01T00:00:00Z"}
    await nc.jetstream().publish(f"qjet.results.{token}", json.dumps(forged).encode())
    await wait_until(lambda: entry(nc, token), "the forged result is stored")
    quoted = quote(task_id, safe="")
    assert (await ask(http, "POST", f"/tasks/{quoted}/cancel"))[0] == 200
    assert (await ask(http, "DELETE", f"/tasks/{quoted}"))[0] == 204
    assert (await ask(http, "GET", f"/tasks/{waiting}"))[1]["status"] == "pending"
    assert await stream_messages(nc, "QJET_TASKS") == 1


async def test_an_id_can_be_used_again_the_moment_it_is_deleted(http, executor, nc: NatsClient):
    """Again and again: whatever of the deletion is still under way, nothing is lost."""
    for life in range(1, 16):
        await publish(nc, "reused", {"qc": BELL, "shots": life})
        task = await final(nc, "reused")
        assert (task["status"], task["shots"]) == ("completed", life)
        statuses = await asyncio.gather(*(ask(http, "DELETE", "/tasks/reused") for _ in range(3)))
        assert {status for status, _ in statuses} <= {204, 404}


async def test_a_cancelled_id_can_be_deleted_and_used_at_once(http, executor, nc: NatsClient):
    """Cancel, delete and submit again, without a pause: each life has its own end."""
    for life in range(1, 8):
        await publish(nc, "reused", {"qc": ENDLESS, "shots": life})
        assert (await ask(http, "POST", "/tasks/reused/cancel"))[0] == 200
        assert (await ask(http, "DELETE", "/tasks/reused"))[0] == 204
        await publish(nc, "reused", {"qc": BELL, "shots": life})
        task = await final(nc, "reused")
        assert (task["status"], task["shots"]) == ("completed", life)
        assert (await ask(http, "DELETE", "/tasks/reused"))[0] == 204


async def test_what_an_operator_puts_into_the_bucket_can_be_read_and_deleted(http, nc: NatsClient):
    """Garbage under a key: an answer, never a 500."""
    bucket = await nc.jetstream().key_value("qjet-results")
    await bucket.put("garbage", b"\xff{")
    assert (await ask(http, "GET", "/tasks/garbage"))[1]["status"] == "error"
    assert (await ask(http, "DELETE", "/tasks/garbage"))[0] == 204
    assert (await ask(http, "GET", "/tasks/garbage"))[0] == 404


async def test_what_is_not_finished_is_not_deleted(http):
    """409 for a waiting task, 404 for an unknown one."""
    task_id = await submit(http)
    status, problem = await ask(http, "DELETE", f"/tasks/{task_id}")
    assert (status, problem["code"]) == (409, "conflict")
    assert (await ask(http, "DELETE", "/tasks/nobody"))[0] == 404


async def test_a_cancelled_and_deleted_id_can_be_used_again(http, executor, nc: NatsClient):
    """An executor that remembers the cancel still runs the new task."""
    running = await nc.subscribe("qjet.events.*.running")
    await nc.flush()
    await publish(nc, "reused", ENDLESS)
    await running.next_msg(10)
    assert (await ask(http, "POST", "/tasks/reused/cancel"))[0] == 200
    assert (await ask(http, "DELETE", "/tasks/reused"))[0] == 204
    await publish(nc, "reused", BELL)
    assert (await final(nc, "reused"))["status"] == "completed"


async def test_deleting_removes_the_blob(http, executor, nc: NatsClient):
    """A large result goes with its task."""
    task_id = await submit(http, BELL, shots=300_000, memory=True)
    await final(nc, task_id)
    blobs = await nc.jetstream().object_store("qjet-blobs")
    assert len(await blobs.list(ignore_deletes=True)) == 1
    assert (await ask(http, "DELETE", f"/tasks/{task_id}"))[0] == 204
    with pytest.raises(NotFoundError):
        await blobs.list(ignore_deletes=True)


async def test_cancel_reaches_whichever_executor_runs_the_task(http, broker, nc, tmp_path):
    """Two executors, two endless tasks: each cancel stops its own."""
    running = await nc.subscribe("qjet.events.*.running")
    await nc.flush()
    async with AsyncExitStack() as stack:
        executors = [
            stack.enter_context(service("executor", broker.url, tmp_path, sandboxes=1))
            for _ in range(2)
        ]
        ids = [await submit(http, ENDLESS) for _ in range(2)]
        await running.next_msg(10)
        await running.next_msg(10)
        assert (await ask(http, "POST", f"/tasks/{ids[0]}/cancel"))[0] == 200

        def killed() -> list[bool]:
            wanted = 'qjet_sandbox_restarts_total{reason="cancelled"} 1.0'
            return sorted(wanted in e.get("/metrics").decode() for e in executors)

        await wait_until(lambda: killed() == [False, True], "one sandbox is killed", timeout_s=1)
        assert (await ask(http, "POST", f"/tasks/{ids[1]}/cancel"))[0] == 200
        await wait_until(lambda: killed() == [True, True], "both are", timeout_s=1)


async def test_a_cancel_leaves_other_tasks_to_be_delivered_again(http, nc: NatsClient):
    """Of three tasks that an executor holds one is cancelled and one done; the third comes back."""
    queue = await nc.jetstream().pull_subscribe_bind("executors", stream="QJET_TASKS")
    for name in ("dropped", "cancelled", "done"):
        await publish(nc, name, BELL)
    held = {msg.subject.split(".")[2]: msg for msg in await queue.fetch(3)}
    status, _ = await ask(http, "POST", "/tasks/cancelled/cancel")
    assert status == 200
    await held["done"].ack()
    again = await queue.fetch(1, timeout=10)
    assert again[0].subject == "qjet.submit.dropped"
    assert again[0].metadata.num_delivered == 2
