"""The gateway over HTTP and NATS, with a real broker and no executor."""

import io
import json
import os
import signal
from collections.abc import AsyncIterator

import aiohttp
import pytest
from nats.aio.client import Client as NatsClient

from tests.support.circuits import BELL
from tests.support.nats import NatsServer
from tests.support.services import Service, service
from tests.support.tasks import stream_messages
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def http(gateway: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gateway.url) as session:
        yield session


async def submit(http: aiohttp.ClientSession, **submission: object) -> str:
    async with http.post("/tasks", json={"qc": BELL, **submission}) as response:
        assert response.status == 202
        return (await response.json())["task_id"]


async def test_a_submission_is_one_stored_message_when_it_is_answered(http, nc: NatsClient):
    """202 comes with the task's address, and then exactly one message is in the stream."""
    async with http.post("/tasks", json={"qc": BELL}) as response:
        body = await response.json()
        assert response.status == 202
        assert response.headers["Location"] == f"/tasks/{body['task_id']}"
    assert body["message"] == "Task submitted successfully."
    assert await stream_messages(nc, "QJET_TASKS") == 1


async def test_an_accepted_task_is_pending_as_submitted(http):
    """Before any executor takes it, a task shows its own fields."""
    task_id = await submit(http, shots=7, seed=3, tags=["a", "b"], name="mine")
    async with http.get(f"/tasks/{task_id}") as response:
        task = await response.json()
        assert response.status == 200
    assert task["status"] == "pending"
    assert task["message"] == "Task is still in progress."
    assert (task["shots"], task["seed"], task["tags"], task["name"]) == (7, 3, ["a", "b"], "mine")
    assert task["created_at"].endswith("Z")
    assert task["result"] is None


async def test_a_long_poll_ends_with_the_state_it_has(http):
    """Without an executor, ?wait= answers after its time with the pending task."""
    task_id = await submit(http)
    async with http.get(f"/tasks/{task_id}?wait=0.3") as response:
        assert (await response.json())["status"] == "pending"


@pytest.mark.parametrize("path", ["/tasks/never-was", "/tasks/%2A", "/tasks/a.b", "/tasks/>"])
@pytest.mark.parametrize("wait", ["", "?wait=0.2"])
async def test_an_unknown_id_is_not_found(http, path, wait):
    """An id nobody submitted is 404, also one made of NATS wildcards while others are pending."""
    await submit(http)
    async with http.get(path + wait) as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"
        assert (await response.json())["code"] == "not_found"


BAD_BODIES = [
    (b"", 400, "invalid_json", "empty"),
    (b"{", 400, "invalid_json", "truncated"),
    (b'{"qc": "\xff"}', 400, "invalid_json", "0xff at offset 8"),
    (b"[" * 200_000, 400, "invalid_json", "nested"),
    (b"[]", 422, "validation", "object"),
    (b'"OPENQASM 3;"', 422, "validation", "object"),
    (b"{}", 422, "validation", "qc"),
    (b'{"qc": 1}', 422, "validation", "qc"),
    (b'{"qc": ""}', 422, "validation", "qc"),
    (b'{"qc": "x", "shots": 0}', 422, "validation", "shots"),
    (b'{"qc": "x", "shots": -1}', 422, "validation", "shots"),
    (b'{"qc": "x", "shots": 1e12}', 422, "validation", "shots"),
    (b'{"qc": "x", "shots": 1000000000000}', 422, "validation", "shots"),
    (b'{"qc": "x", "shots": "many"}', 422, "validation", "shots"),
    (b'{"qc": "x", "method": "magic"}', 422, "validation", "statevector"),
    (b'{"qc": "x", "timeout_s": 1e9}', 422, "validation", "timeout_s"),
    (b'{"qc": "x", "qubits": 2}', 422, "validation", "qubits"),
]


@pytest.mark.parametrize(("body", "status", "code", "says"), BAD_BODIES)
async def test_a_bad_body_is_a_problem_that_says_what(http, nc, body, status, code, says):
    """Every bad body is refused with its code and a text that names the trouble."""
    async with http.post("/tasks", data=body, headers=JSON) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["status"], problem["code"]) == (status, status, code)
    assert says in json.dumps(problem)
    assert await stream_messages(nc, "QJET_TASKS") == 0


async def test_all_unknown_fields_are_named(http):
    """Unknown fields are listed by name, beside the other errors."""
    body = {"qc": BELL, "shots": 0, "color": 1, "speed": 2}
    async with http.post("/tasks", json=body) as response:
        problem = await response.json(content_type="application/problem+json")
    assert [error["field"] for error in problem["errors"]] == ["color", "shots", "speed"]


async def test_a_body_past_the_limit_is_too_large(http):
    """Ten megabytes are refused, and the gateway goes on."""
    body = io.BytesIO(json.dumps({"qc": "x" * 10_000_000}).encode())
    async with http.post("/tasks", data=body, headers=JSON) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"]) == (413, "payload_too_large")
    assert await submit(http)


async def test_a_body_that_is_not_declared_json_is_unsupported(http):
    """Curl without its header is told which header to send."""
    async with http.post("/tasks", data="a=b", headers={"Content-Type": "text/plain"}) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"]) == (415, "unsupported_media_type")
    assert "application/json" in problem["detail"]


async def test_unknown_paths_and_wrong_methods_are_problems(http):
    """404 names the path; 405 names what is allowed."""
    async with http.get("/nowhere") as response:
        assert response.status == 404
        assert "/nowhere" in (await response.json(content_type=None))["detail"]
    async with http.delete("/tasks") as response:
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["code"]) == (405, "method_not_allowed")
        assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize("wait", ["soon", "-1", "nan"])
async def test_a_wait_that_is_no_duration_is_refused(http, wait):
    """`wait` has to be a number of seconds."""
    async with http.get(f"/tasks/x?wait={wait}") as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["errors"][0]["field"]) == (422, "wait")


async def test_without_executors_health_is_degraded_and_says_so(http):
    """Each part has its own word; the gateway itself is live and ready."""
    wanted = {"api": "healthy", "nats": "healthy", "executors": "unhealthy"}

    async def shows_all_but_executors() -> bool:
        async with http.get("/health") as response:
            health = await response.json()
            assert (response.status, health["status"]) == (503, "degraded")
            return health["components"] == {**wanted, "resultstore": "healthy"}

    await wait_until(shows_all_but_executors, "the resultstore's heartbeat is heard")
    for probe in ("live", "ready"):
        async with http.get(f"/health/{probe}") as response:
            assert response.status == 200


async def test_a_broker_that_is_away_is_said_quickly_and_survived(http, broker: NatsServer):
    """Without the broker: 503 with Retry-After, at once; with it again: as before."""
    task_id = await submit(http)
    broker.kill()
    async with http.post("/tasks", json={"qc": BELL}) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"]) == (503, "broker_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    async with http.get("/health") as response:
        assert (await response.json())["components"]["nats"] == "unhealthy"
    async with http.get("/metrics") as response:
        assert response.status == 200

    broker.start()

    async def is_back() -> bool:
        async with http.get(f"/tasks/{task_id}") as response:
            return response.status == 200

    await wait_until(is_back, "the gateway finds the broker and the task again")


async def test_the_metrics_agree_in_both_forms(http):
    """The JSON form and the Prometheus gauges show the same tasks."""
    for _ in range(3):
        await submit(http)
    async with http.get("/metrics", headers={"Accept": "application/json"}) as response:
        figures = await response.json()
    async with http.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        text = await response.text()
    assert figures["queue_stats"]["pending_tasks"] == 3
    assert figures["task_stats"]["total"] == 3
    assert "qjet_queue_depth 3.0" in text
    assert 'qjet_tasks_submitted_total{source="http"} 3.0' in text
    assert 'qjet_http_requests_total{method="POST",route="/tasks",status="202"} 3.0' in text


async def test_a_result_on_its_way_is_a_running_task(http, resultstore, nc: NatsClient):
    """Between results stream and bucket a task is still in progress, with what it was given."""
    os.kill(resultstore.process.pid, signal.SIGSTOP)
    try:
        done = {"task_id": "t", "status": "completed", "message": "", "shots": 7, "attempts": 1}
        payload = json.dumps({**done, "result": {"0": 7}, "finished_at": "2026-01-01T00:00:00Z"})
        await nc.jetstream().publish("qjet.results.t", payload.encode())
        async with http.get("/tasks/t") as response:
            task = await response.json()
    finally:
        os.kill(resultstore.process.pid, signal.SIGCONT)
    assert (task["status"], task["shots"], task["attempts"]) == ("running", 7, 1)
    assert (task["result"], task["finished_at"]) == (None, None)
    async with http.get("/tasks/t?wait=10") as response:
        assert (await response.json())["result"] == {"0": 7}


async def test_a_long_refusal_is_cut(gateway, http, nc: NatsClient):
    """However much is wrong, the answer is short, over both doors, and the gateway goes on."""
    payload = json.dumps({f"k{n}": 1 for n in range(50_000)}).encode()
    async with http.post("/tasks", data=payload, headers=JSON) as response:
        assert response.status == 422
        assert len(await response.read()) < 20_000
    for refused in (payload, b'{"' + b"k" * 500_000 + b'": 1}'):
        answer = await nc.request("qjet.api.submit", refused, timeout=5)
        assert answer.headers["Nats-Service-Error-Code"] == "422"
        assert len(answer.data) < 20_000
    assert await submit(http)


async def test_a_body_that_is_not_encoded_as_it_says_is_invalid(http):
    """`Content-Encoding: gzip` on plain text is the client's mistake, not a fault here."""
    headers = {**JSON, "Content-Encoding": "gzip"}
    async with http.post("/tasks", data=b'{"qc": "x"}', headers=headers) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"]) == (400, "invalid_json")


async def test_headers_of_a_submission_do_not_hide_it(http, nc: NatsClient):
    """What looks like a bucket's deletion mark is none in the task stream."""
    headers = {"KV-Operation": "DEL", "Nats-Marker-Reason": "x"}
    await nc.jetstream().publish("qjet.submit.marked", BELL.encode(), headers=headers)
    async with http.get("/tasks/marked") as response:
        assert (await response.json())["status"] == "pending"


@pytest.mark.parametrize("task_id", ["a.b", "dollar$", "\u00fcn\u00ef"])
async def test_a_strange_id_is_found_while_it_waits(http, nc: NatsClient, task_id):
    """Accepted is accepted: until an executor refuses it, the task is pending."""
    await nc.jetstream().publish(f"qjet.submit.{task_id}", BELL.encode())
    async with http.get(f"/tasks/{task_id}") as response:
        assert (await response.json())["status"] == "pending"


async def test_metrics_without_streams_are_served(broker, tmp_path):
    """A gateway on an empty broker has metrics, and says in JSON what is missing."""
    with service("gateway", broker.url, tmp_path, ready=False) as running:
        await wait_until(lambda: b"qjet_build_info" in running.get("/metrics"), "it is scraped")


async def test_unknown_paths_share_one_label(http):
    """However many paths are tried, the metrics do not grow with them."""
    for number in range(5):
        async with http.get(f"/no/{number}") as response:
            assert response.status == 404
    async with http.get("/metrics") as response:
        text = await response.text()
    assert 'qjet_http_requests_total{method="other",route="unmatched",status="404"} 5.0' in text
    assert "/no/" not in text


async def test_the_micro_service_accepts_and_shows_tasks(gateway, nc: NatsClient):
    """qjet.api.submit takes JSON and bare OpenQASM; qjet.api.get shows the task."""
    for payload in (BELL, json.dumps({"qc": BELL, "shots": 5})):
        answer = await nc.request("qjet.api.submit", payload.encode(), timeout=5)
        task_id = json.loads(answer.data)["task_id"]
        shown = json.loads((await nc.request("qjet.api.get", task_id.encode(), timeout=5)).data)
        assert (shown["task_id"], shown["status"]) == (task_id, "pending")


async def test_the_micro_service_refuses_as_http_does(gateway, nc: NatsClient):
    """Errors carry the service error headers and the same problem as over HTTP."""
    answer = await nc.request("qjet.api.submit", b'{"qc": 1}', timeout=5)
    assert answer.headers["Nats-Service-Error-Code"] == "422"
    assert json.loads(answer.data)["errors"][0]["field"] == "qc"
    answer = await nc.request("qjet.api.get", b"*", timeout=5)
    assert answer.headers["Nats-Service-Error-Code"] == "404"


async def test_pending_is_announced(http, nc: NatsClient):
    """A submission over HTTP is announced on qjet.events before it runs."""
    subscription = await nc.subscribe("qjet.events.*.pending")
    await nc.flush()
    task_id = await submit(http)
    event = await subscription.next_msg(5)
    assert event.subject == f"qjet.events.{task_id}.pending"
    assert json.loads(event.data)["task_id"] == task_id


async def test_logs_are_json_lines_without_circuits(http, gateway: Service):
    """Every line is JSON, and no circuit stands in any."""
    await submit(http)
    lines = gateway.log_lines()
    assert "service.started" in [line["event"] for line in lines]
    assert "OPENQASM" not in gateway.log_file.read_text()
