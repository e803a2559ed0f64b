"""The public API as a client sees it, asked of a stack that already runs.

`QJET_URL` says where its gateway is (http://127.0.0.1:8000 unless set) and `QJET_NATS_URL` where
its broker is; tests that need the broker are skipped without. Nothing of qjet is imported: what
is tested here is the contract on the wire.
"""

import asyncio
import json
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import nats
import nats.js.errors
import pytest
from nats.aio.client import Client as NatsClient

URL = os.environ.get("QJET_URL", "http://127.0.0.1:8000")
NATS_URL = os.environ.get("QJET_NATS_URL", "")

BELL = (
    'OPENQASM 3; include "stdgates.inc"; '
    "qubit[2] q; bit[2] c; h q[0]; cx q[0], q[1]; c = measure q;"
)
BELL_IN_QASM_2 = (
    'OPENQASM 2.0; include "qelib1.inc"; '
    "qreg q[2]; creg c[2]; h q[0]; cx q[0], q[1]; measure q -> c;"
)
DEADLINE_S = 60.0
POLL_S = 0.05

needs_broker = pytest.mark.skipif(not NATS_URL, reason="QJET_NATS_URL does not name a broker")


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(base_url=URL, timeout=DEADLINE_S + 10) as client:
        deadline = time.monotonic() + DEADLINE_S
        while trouble := trouble_with(client):
            if time.monotonic() > deadline:
                pytest.fail(f"no healthy stack at QJET_URL={URL}: {trouble}")
            time.sleep(POLL_S)
        yield client


@pytest.fixture
async def broker() -> AsyncIterator[NatsClient]:
    connection = await nats.connect(NATS_URL)
    yield connection
    await connection.close()


def trouble_with(http: httpx.Client) -> str:
    """Say why the stack cannot run a task now; empty if it can."""
    try:
        answer = http.get("/health")
    except httpx.TransportError as exc:
        return str(exc)
    return "" if answer.is_success else answer.text


def submit(http: httpx.Client, qc: str = BELL, **options: Any) -> str:
    """Submit a circuit and return its task id."""
    answer = http.post("/tasks", json={"qc": qc, **options})
    assert answer.status_code == 202, answer.text
    return answer.json()["task_id"]


def run(http: httpx.Client, qc: str = BELL, **options: Any) -> dict[str, Any]:
    """Submit a circuit and return the task once it has completed."""
    task = http.get(f"/tasks/{submit(http, qc, **options)}", params={"wait": DEADLINE_S}).json()
    assert task["status"] == "completed", task
    return task


def samples(metrics_text: str) -> dict[str, float]:
    """Read Prometheus text: sample with its labels → value."""
    lines = [line for line in metrics_text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_bell_runs_and_its_counts_follow_the_distribution(http: httpx.Client) -> None:
    """A Bell circuit gives only 00 and 11, each within six standard deviations of half."""
    shots = 10_000
    task = run(http, shots=shots)
    assert set(task["result"]) == {"00", "11"}
    assert sum(task["result"].values()) == shots
    assert abs(task["result"]["00"] - shots / 2) < 6 * (shots * 0.5 * 0.5) ** 0.5


def test_a_submission_is_answered_with_its_address(http: httpx.Client) -> None:
    """202 carries the id, the sentence of the contract, and a Location that shows the task."""
    answer = http.post("/tasks", json={"qc": BELL})
    assert answer.status_code == 202
    task_id = answer.json()["task_id"]
    assert answer.json() == {"task_id": task_id, "message": "Task submitted successfully."}
    assert answer.headers["Location"] == f"/tasks/{task_id}"
    shown = http.get(answer.headers["Location"])
    assert shown.status_code == 200
    assert shown.json()["task_id"] == task_id


def test_openqasm_2_runs_too(http: httpx.Client) -> None:
    """OpenQASM 2 is known by its version line."""
    assert set(run(http, BELL_IN_QASM_2)["result"]) == {"00", "11"}


def test_the_same_seed_gives_the_same_counts(http: httpx.Client) -> None:
    """Whichever executor runs it, a seeded circuit gives the same counts."""
    first, second = (run(http, shots=4096, seed=7)["result"] for _ in range(2))
    assert first == second


def test_a_circuit_that_does_not_parse_ends_with_a_typed_error(http: httpx.Client) -> None:
    """The error has a code, a sentence and the line; no result."""
    task_id = submit(http, "OPENQASM 3;\nqubit[2] q;\nh q[0\n")
    task = http.get(f"/tasks/{task_id}", params={"wait": DEADLINE_S}).json()
    assert task["status"] == "error"
    assert task["error"]["code"] == "qasm_syntax"
    assert task["message"]
    assert task["result"] is None


def test_an_unknown_task_is_not_found(http: httpx.Client) -> None:
    """An id never submitted is a 404 problem, not a pending task."""
    answer = http.get(f"/tasks/{uuid.uuid4()}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["code"] == "not_found"


def test_validation_errors_name_every_wrong_field(http: httpx.Client) -> None:
    """All that is wrong is named at once: a missing, an unknown and an invalid field."""
    answer = http.post("/tasks", json={"shots": 0, "shotz": 5})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "validation"
    assert {error["field"] for error in problem["errors"]} == {"qc", "shots", "shotz"}


def test_every_component_is_healthy(http: httpx.Client) -> None:
    """Health is 200 and ok, part by part."""
    answer = http.get("/health")
    assert answer.status_code == 200, answer.text
    parts = {"api", "nats", "executors", "resultstore"}
    components = dict.fromkeys(parts, "healthy")
    assert answer.json() == {"status": "ok", "components": components}


def test_metrics_are_prometheus_text(http: httpx.Client) -> None:
    """A submission shows in the counter of submissions and in that of its route."""
    submitted = 'qjet_tasks_submitted_total{source="http"}'
    route = 'qjet_http_requests_total{method="POST",route="/tasks",status="202"}'
    submit(http)
    before = samples(http.get("/metrics").text)
    submit(http)
    answer = http.get("/metrics")
    after = samples(answer.text)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert any(name.startswith("qjet_build_info{") for name in after)
    assert after[submitted] > before[submitted]
    assert after[route] > before[route]


def test_metrics_are_json_for_who_accepts_that(http: httpx.Client) -> None:
    """The JSON form counts tasks that completed, soon after they did."""

    def figures() -> dict[str, dict[str, Any]]:
        return http.get("/metrics", headers={"Accept": "application/json"}).json()

    before = figures()
    assert set(before) == {"queue_stats", "task_stats", "nats_stats"}
    assert set(before["task_stats"]) == {"total", "completed", "failed", "success_rate"}
    run(http)
    deadline = time.monotonic() + DEADLINE_S
    while figures()["task_stats"]["completed"] <= before["task_stats"]["completed"]:
        assert time.monotonic() < deadline, "a completed task is never counted"
        time.sleep(POLL_S)


@needs_broker
async def test_a_durable_submission_by_nats_leaves_its_counts_in_the_bucket(
    broker: NatsClient,
) -> None:
    """A request to qjet.submit.<id> gets a PubAck; then the bucket holds the task's counts."""
    task_id = f"api-test-{uuid.uuid4()}"
    answer = await broker.request(f"qjet.submit.{task_id}", BELL.encode(), timeout=10)
    ack = json.loads(answer.data)
    assert ack["stream"] == "QJET_TASKS"
    assert ack["seq"] > 0
    task = await _entry(broker, task_id)
    assert task["status"] == "completed"
    assert set(task["result"]) == {"00", "11"}
    assert sum(task["result"].values()) == task["shots"] == 1024


@needs_broker
async def test_both_doors_show_the_same_task(broker: NatsClient, http: httpx.Client) -> None:
    """A task submitted over HTTP is read over NATS, word for word."""
    task = run(http, tags=["both-doors"])
    answer = await broker.request("qjet.api.get", task["task_id"].encode(), timeout=10)
    assert json.loads(answer.data) == task


async def _entry(broker: NatsClient, key: str) -> dict[str, Any]:
    """Wait for a key of the results bucket and return its value."""
    bucket = await broker.jetstream().key_value("qjet-results")
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return json.loads((await bucket.get(key)).value or b"")
            except nats.js.errors.KeyNotFoundError:
                await asyncio.sleep(POLL_S)
