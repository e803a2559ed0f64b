"""What a nearly full and a really full disk of the broker do to a running stack."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.circuits import BELL
from tests.support.disk import SmallDisk, fill
from tests.support.stack import RunningStack, running_stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

SIZE_MIB = 160
RESERVE_MIB = 48


def call(url: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any], Any]:
    """Return status, body and headers of a GET, or of a POST where there is a body."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response), response.headers
    except urllib.error.HTTPError as exc:
        return exc.code, json.load(exc), exc.headers


def submit(stack: RunningStack, **options: object) -> tuple[int, dict[str, Any], Any]:
    """Hand in a Bell circuit."""
    return call(f"{stack.http}/tasks", {"qc": BELL, **options})


def is_accepting(stack: RunningStack) -> bool:
    """Whether a submission is accepted."""
    return submit(stack)[0] == 202


def health(stack: RunningStack) -> dict[str, Any]:
    """Return what /health says."""
    return call(f"{stack.http}/health")[1]


async def trouble_of_nats(stack: RunningStack) -> dict[str, Any]:
    """Return what /health says once it finds the broker unhealthy."""
    await wait_until(lambda: "nats" in health(stack).get("details", {}), "health says so")
    found = health(stack)
    assert found["components"]["nats"] == "unhealthy"
    return found


def events(stack: RunningStack, service: str) -> list[str]:
    """Return the names of what a service logged."""
    lines = (stack.data_dir / "logs" / f"{service}.log").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines if line.startswith("{")]


@pytest.fixture
def disk(small_disk: SmallDisk, tmp_path: Path) -> SmallDisk:
    """A file system that is filled quickly."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return SmallDisk(folder, size_mib=SIZE_MIB)


@pytest.fixture
def stack(disk: SmallDisk, tmp_path: Path) -> Iterator[RunningStack]:
    """A `qjet up` on the small file system."""
    environ = {"QJET_DISK_RESERVE_BYTES": str(RESERVE_MIB << 20)}
    with running_stack(
        *(tmp_path, "--data-dir", str(disk.folder)), environ=environ, launcher=disk.launcher
    ) as running:
        seen = disk.seen_by(running.process.pid)
        yield RunningStack(running.process, running.http, running.nats, seen, running.output_file)


async def test_the_queue_closes_before_the_disk_is_full(stack):
    """Below the reserve: 429, said in health and log, and accepted tasks finish; then as before."""
    executor = stack.children()["qjet_executor"]
    os.kill(executor, signal.SIGSTOP)
    accepted = [submit(stack)[1]["task_id"] for _ in range(20)]
    ballast = fill(stack.data_dir, leave_mib=RESERVE_MIB / 2)
    await wait_until(lambda: not is_accepting(stack), "submissions are refused")

    status, problem, headers = submit(stack)
    assert (status, problem["code"]) == (429, "queue_full")
    assert int(headers["Retry-After"]) > 0
    os.kill(executor, signal.SIGCONT)
    for task_id in accepted:
        task = call(f"{stack.http}/tasks/{task_id}?wait=30")[1]
        assert task["status"] == "completed"
    found = await trouble_of_nats(stack)
    assert found["status"] == "degraded"
    assert "QJET_DISK_RESERVE_BYTES" in found["details"]["nats"]
    assert "queue.closed" in events(stack, "resultstore")

    ballast.unlink()
    await wait_until(lambda: is_accepting(stack), "submissions are accepted again")
    await wait_until(lambda: health(stack)["status"] == "ok", "health is fine again")
    assert "details" not in health(stack)
    assert "queue.opened" in events(stack, "resultstore")


async def test_a_full_disk_loses_nothing_and_is_survived(stack):
    """Not a byte free: refused, said, and once there is room, every accepted task finishes."""
    executor = stack.children()["qjet_executor"]
    broker = stack.children()["nats-server"]
    os.kill(executor, signal.SIGSTOP)
    accepted = [submit(stack)[1]["task_id"] for _ in range(200)]
    ballast = fill(stack.data_dir, leave_mib=0)
    os.kill(executor, signal.SIGCONT)

    await wait_until(lambda: "cannot write" in stack.output, "`qjet up` says so", timeout_s=30)
    assert "no space left on device" in stack.output
    status, answer, headers = submit(stack)
    while status == 202:  # the last block may have room for a few
        accepted.append(answer["task_id"])
        status, answer, headers = submit(stack)
    assert (status, answer["code"]) in {(429, "queue_full"), (503, "broker_unavailable")}
    assert int(headers["Retry-After"]) > 0
    await trouble_of_nats(stack)
    assert stack.children()["nats-server"] == broker

    ballast.unlink()
    await wait_until(lambda: is_accepting(stack), "submissions are accepted again", timeout_s=60)
    for task_id in accepted:
        task = call(f"{stack.http}/tasks/{task_id}?wait=60")[1]
        assert (task["status"], sum(task["result"].values())) == ("completed", 1024)
    await wait_until(lambda: health(stack)["status"] == "ok", "health is fine again")


async def test_too_little_room_from_the_start_is_said(disk, tmp_path):
    """`qjet up` says within seconds what it waits for, with the setting's name, and goes on."""
    command = [*disk.launcher, sys.executable, "-m", "qjet", "up", "--http-port", "0"]
    command += ["--nats-port", "0", "--data-dir", str(disk.folder)]
    output = tmp_path / "up.log"
    with (
        output.open("wb") as file,
        subprocess.Popen(
            command,
            stdout=file,
            stderr=file,
            env={**os.environ, "QJET_DISK_RESERVE_BYTES": str(SIZE_MIB << 20)},
        ) as up,
    ):
        await wait_until(
            lambda: "QJET_DISK_RESERVE_BYTES" in output.read_text(), "it says so", timeout_s=30
        )
        assert "ready" not in output.read_text()
        up.terminate()
        assert up.wait(60) == 0
