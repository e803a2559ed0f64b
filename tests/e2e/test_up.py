"""`qjet up` itself: starting, supervising, refusing, stopping."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.circuits import BELL, ENDLESS
from tests.support.stack import RunningStack, running_stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

SERVICES = {"nats-server", "qjet_resultstore", "qjet_executor", "qjet_gateway"}


def post(stack: RunningStack, **submission: object) -> str:
    """Submit and return the task id."""
    body = json.dumps({"qc": BELL, **submission}).encode()
    request = urllib.request.Request(
        f"{stack.http}/tasks", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)["task_id"]


def get(stack: RunningStack, task_id: str, wait: int = 30) -> dict[str, object]:
    """Return a task, waiting for its end."""
    url = f"{stack.http}/tasks/{task_id}?wait={wait}"
    with urllib.request.urlopen(url, timeout=wait + 10) as response:
        return json.load(response)


def lives(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def family(stack: RunningStack) -> set[int]:
    """Return every process under `qjet up`, to any depth."""
    found, queue = set(), [stack.process.pid]
    while queue:
        pid = queue.pop()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found |= {int(child) for child in children}
        queue += [int(child) for child in children]
    return found


def test_results_survive_a_restart_and_stopping_leaves_nobody(tmp_path):
    """SIGTERM: exit 0 and no process left; started again on its data, results are still there."""
    with running_stack(tmp_path) as first:
        task_id = post(first)
        before = get(first, task_id)
        processes = family(first)
        assert set(first.children()) == SERVICES
        assert first.stop() == 0
        assert not [pid for pid in processes if lives(pid)]
    with running_stack(tmp_path) as second:
        assert get(second, task_id) == before


async def test_kill_9_leaves_nobody(tmp_path):
    """The kernel ends every process when `qjet up` itself is killed, and its data can be used."""
    with running_stack(tmp_path) as stack:
        task_id = post(stack)
        processes = family(stack)
        assert len(processes) > len(SERVICES)
        stack.process.kill()
        stack.process.wait()
        await wait_until(lambda: not any(map(lives, processes)), "every process is gone")
    with running_stack(tmp_path) as again:
        assert get(again, task_id)["status"] == "completed"


@pytest.mark.parametrize("name", sorted(SERVICES))
async def test_a_child_that_dies_comes_back_on_its_port(tmp_path, name):
    """Kill -9 of any child: said so, started again, and the stack works at the same address."""
    with running_stack(tmp_path) as stack:
        pid = stack.children()[name]
        os.kill(pid, signal.SIGKILL)
        await wait_until(
            lambda: stack.children().get(name, pid) != pid, f"{name} runs again", timeout_s=30
        )
        said = name.removeprefix("qjet_")
        assert f"{said}" in stack.output
        assert "was killed by signal 9; starting it again" in stack.output

        def works() -> bool:
            try:
                return get(stack, post(stack), wait=10)["status"] == "completed"
            except OSError:
                return False

        await wait_until(works, "a task runs at the same address", timeout_s=60)


def refused(
    *arguments: str, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a `qjet up` that should not start."""
    return subprocess.run(
        [sys.executable, "-m", "qjet", "up", *arguments],
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("option", ["--http-port", "--nats-port"])
def test_a_taken_port_is_refused_clearly(tmp_path, option):
    """The message names the port and the way around; the exit code is 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--http-port": "0", "--nats-port": "0", option: str(port)}
        flat = [word for pair in ports.items() for word in pair]
        found = refused("--data-dir", str(tmp_path), *flat)
    assert found.returncode == 2
    assert f"127.0.0.1:{port}" in found.stderr
    assert f"{option} 0" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_bad_setting_is_said_once_and_ends_it(tmp_path):
    """A service that cannot read its settings is not started again and again."""
    found = refused(
        *("--data-dir", str(tmp_path), "--http-port", "0", "--nats-port", "0"),
        environ={"QJET_SANDBOXES": "some"},
    )
    assert found.returncode == 2
    assert "QJET_SANDBOXES='some'" in found.stderr


def test_stopping_ends_long_polls(tmp_path):
    """SIGTERM while somebody waits for a task: he is answered, and the stop goes on."""
    with running_stack(tmp_path, environ={"QJET_DRAIN_S": "3"}) as stack:
        task_id = post(stack, qc=ENDLESS, timeout_s=60)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(get, stack, task_id, 50)
            wait_for_running(stack, task_id)
            started = time.monotonic()
            assert stack.stop() == 0
            assert time.monotonic() - started < 15
            assert waiting.result(5)["status"] == "running"


def wait_for_running(stack: RunningStack, task_id: str) -> None:
    """Wait until a task runs."""
    deadline = time.monotonic() + 20
    while get(stack, task_id, 0)["status"] != "running":
        assert time.monotonic() < deadline


def test_a_data_directory_in_use_is_refused_clearly(stack: RunningStack):
    """Two stacks never share one data directory."""
    directory = str(stack.data_dir)
    found = refused("--data-dir", directory, "--http-port", "0", "--nats-port", "0")
    assert found.returncode == 2
    assert f"{stack.data_dir} is in use" in found.stderr


def test_an_existing_broker_is_used(tmp_path, broker):
    """With QJET_NATS_URL no broker is started; the stack works on the given one."""
    with running_stack(tmp_path, environ={"QJET_NATS_URL": broker.url}) as stack:
        assert stack.nats == broker.url
        assert set(stack.children()) == SERVICES - {"nats-server"}
        assert get(stack, post(stack))["status"] == "completed"


def test_the_broker_syncs_and_logs_to_a_file(stack: RunningStack):
    """The embedded broker writes to disk before it acknowledges, and its log is a file."""
    config = (stack.data_dir / "nats-server.conf").read_text()
    assert "sync_interval: always" in config
    assert (stack.data_dir / "logs" / "nats-server.log").stat().st_size > 0


def test_several_executors_share_the_work(tmp_path):
    """--executors 2 starts two, and both run tasks."""
    with running_stack(tmp_path, "--executors", "2") as stack:
        executors: set[str] = set()
        for _ in range(20):  # one of them may be warm a few seconds before the other
            ids = [post(stack, shots=20_000, seed=n, timeout_s=60) for n in range(20)]
            tasks = [get(stack, task_id) for task_id in ids]
            assert {task["status"] for task in tasks} == {"completed"}
            executors |= {task["executor"] for task in tasks}
            if len(executors) > 1:
                break
    assert len(executors) == 2


def test_the_demo_runs_every_example(tmp_path):
    """--try runs circuits once ready, --once stops afterwards; the exit code says how it went."""
    command = [sys.executable, "-m", "qjet", "up", "--http-port", "0", "--nats-port", "0"]
    command += ["--data-dir", str(tmp_path), "--try", "examples/adder.qasm", "--once"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    assert "100       1024  100.0%" in found.stdout
