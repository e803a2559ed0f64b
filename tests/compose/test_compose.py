"""The Compose deployment, really brought up: three executors, then loss, restart and removal."""

import json

import httpx
import pytest

from qjet_shared.messages.submission import BELL_QASM
from tests.compose.conftest import EXECUTORS, ComposeStack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.compose

TASKS = 60
SERVICES = ("gateway", "executor", "resultstore")
STOP_S = 30.0
SCRAPE_S = 60.0
REDELIVERY_S = 180.0
"""A killed executor's tasks come back after the acknowledgement wait, 30 s."""


def submit_many(http: httpx.Client, *, shots: int) -> list[str]:
    """Submit Bell circuits with different seeds and return their ids."""
    bodies = [{"qc": BELL_QASM, "shots": shots, "seed": seed} for seed in range(TASKS)]
    answers = [http.post("/tasks", json=body) for body in bodies]
    assert {answer.status_code for answer in answers} == {202}
    return [answer.json()["task_id"] for answer in answers]


def results(http: httpx.Client, task_ids: list[str]) -> list[dict]:
    """Wait for the tasks and return them."""
    return [http.get(f"/tasks/{task_id}", params={"wait": 60}).json() for task_id in task_ids]


def check_bell(task: dict, *, shots: int) -> None:
    """Check that a task completed with the counts of a Bell pair."""
    assert task["status"] == "completed", task
    assert set(task["result"]) == {"00", "11"}
    assert sum(task["result"].values()) == shots
    assert abs(task["result"]["00"] - shots / 2) < 6 * (shots / 4) ** 0.5


async def test_tasks_are_shared_among_the_executors(
    stack: ComposeStack, http: httpx.Client
) -> None:
    """Sixty tasks all complete with right counts, each once, and every executor ran some."""

    def completed() -> list[int]:
        return stack.tasks_by_executor("qjet_tasks_finished_total", outcome="completed")

    before = completed()
    shots = 20_000
    for task in results(http, submit_many(http, shots=shots)):
        check_bell(task, shots=shots)
    await wait_until(lambda: sum(completed()) >= sum(before) + TASKS, "all tasks are counted")
    ran = [now - then for now, then in zip(completed(), before, strict=True)]
    assert sum(ran) == TASKS
    assert min(ran) > 0, ran


def test_the_api_tests_pass_in_their_container(stack: ComposeStack) -> None:
    """`docker compose run --rm test` passes, skips nothing, and leaves the executors alone."""
    said = stack.compose("run", "--rm", "-T", "test")
    assert " passed" in said
    assert "skipped" not in said
    assert len(stack.containers("executor")) == EXECUTORS


async def test_prometheus_finds_every_process(stack: ComposeStack) -> None:
    """With the monitoring profile, the gateway, the resultstore and all executors are scraped."""
    stack.compose("--profile", "monitoring", "up", "-d", "--wait", "prometheus")
    with httpx.Client(base_url=stack.address("prometheus", 9090)) as prometheus:

        def up_by_job() -> dict[str, int]:
            query = {"query": "sum by (job) (up)"}
            found = prometheus.get("/api/v1/query", params=query).json()["data"]["result"]
            return {each["metric"]["job"]: int(each["value"][1]) for each in found}

        wanted = {"gateway": 1, "resultstore": 1, "executor": EXECUTORS}
        await wait_until(lambda: up_by_job() == wanted, f"{wanted} are up", timeout_s=SCRAPE_S)


def test_only_the_gateway_is_published_and_only_on_loopback(stack: ComposeStack) -> None:
    """Nothing but the gateway's port, and Prometheus's where asked for, reaches the machine."""
    published = set()
    for container in stack.containers():
        state = stack.inspect(container)
        service = state["Config"]["Labels"]["com.docker.compose.service"]
        for bindings in state["NetworkSettings"]["Ports"].values():
            published |= {(service, binding["HostIp"]) for binding in bindings or ()}
    assert published - {("prometheus", "127.0.0.1")} == {("gateway", "127.0.0.1")}


def test_the_services_run_with_few_rights(stack: ComposeStack) -> None:
    """No root, no capabilities, no new privileges, and nothing to write to but /tmp."""
    for service in SERVICES:
        assert stack.python(service, "import os; print(os.getuid())") != "0"
        rights = stack.inspect(stack.containers(service)[0])["HostConfig"]
        assert rights["ReadonlyRootfs"]
        assert rights["CapDrop"] == ["ALL"]
        assert rights["SecurityOpt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", ["gateway", "resultstore"])
def test_qiskit_is_in_the_executors_image_alone(stack: ComposeStack, service: str) -> None:
    """The other images are small because they do not carry it."""
    code = "from importlib.util import find_spec as f; print(f('qiskit') or f('qiskit_aer'))"
    assert stack.python(service, code) == "None"


async def test_a_broker_that_comes_back_elsewhere_is_found(
    stack: ComposeStack, http: httpx.Client
) -> None:
    """Gone from the network and back under another address, the broker is looked up by name."""
    (broker,) = stack.containers("nats")
    network = stack.network()

    def address() -> str:
        return stack.inspect(broker)["NetworkSettings"]["Networks"][network]["IPAddress"]

    before = address()
    stack.docker("network", "disconnect", network, broker)
    image = stack.inspect(broker)["Image"]
    here = ("--network", network, "--entrypoint", "sleep", image, "600")
    usurper = stack.docker("run", "-d", "--rm", *here).strip()  # takes the address that is free
    try:
        stack.docker("network", "connect", "--alias", "nats", network, broker)
        assert address() != before
        await wait_until(
            lambda: http.get("/health").json()["status"] == "ok",
            "all services have found it",
            timeout_s=SCRAPE_S,
        )
        for task in results(http, submit_many(http, shots=64)):
            check_bell(task, shots=64)
    finally:
        stack.docker("rm", "-f", usurper)


async def test_a_killed_executor_comes_back_and_no_task_is_lost(
    stack: ComposeStack, http: httpx.Client
) -> None:
    """Killed amid its work, an executor is restarted; its tasks run again and all complete."""
    shots = 500_000
    task_ids = submit_many(http, shots=shots)
    await wait_until(
        lambda: stack.tasks_by_executor("qjet_tasks_in_flight")[0] > 0, "the first one is at work"
    )
    victim = stack.python("executor", "import socket; print(socket.gethostname())", index=1)
    stack.kill_main_process(victim)

    def is_back() -> bool:
        state = stack.inspect(victim)
        return state["RestartCount"] > 0 and state["State"]["Health"]["Status"] == "healthy"

    await wait_until(is_back, "the killed executor is restarted and healthy", timeout_s=SCRAPE_S)
    tasks: list[dict] = []

    def are_final() -> bool:
        tasks[:] = results(http, task_ids)
        return all(task["status"] not in {"pending", "running"} for task in tasks)

    await wait_until(are_final, "all tasks are final", timeout_s=REDELIVERY_S)
    for task in tasks:
        check_bell(task, shots=shots)
    assert max(task["attempts"] for task in tasks) > 1, "the kill hit no running task"


def test_results_outlive_the_containers(stack: ComposeStack, http: httpx.Client) -> None:
    """Stopped, every service exits with 0; after `down` and `up` results read as before."""
    task_ids = submit_many(http, shots=128)
    before = results(http, task_ids)
    containers = stack.containers(*SERVICES)
    stack.compose("stop", *SERVICES, timeout_s=2 * STOP_S)
    assert [stack.inspect(each)["State"]["ExitCode"] for each in containers] == [0] * len(
        containers
    )
    stack.compose("down")
    stack.up()
    with stack.http() as again:
        assert results(again, task_ids) == before


def test_logs_are_json_lines(stack: ComposeStack) -> None:
    """Each line of each service's log is a JSON object with time, level, event and origin."""
    for service in SERVICES:
        for container in stack.containers(service):
            lines = [json.loads(line) for line in stack.docker("logs", container).splitlines()]
            assert lines
            assert all({"at", "level", "event", "instance"} <= line.keys() for line in lines)
            assert {line["service"] for line in lines} == {service}
