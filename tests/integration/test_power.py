"""What is acknowledged survives a power cut: the broker's system calls show it synced before."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from qjet.up import nats_server
from tests.support.circuits import BELL
from tests.support.services import service
from tests.support.trace import is_synced_before_ack, traced_server

pytestmark = pytest.mark.integration

ON_THE_WAY = ("QJET_TASKS", "QJET_RESULTS", "KV_qjet-results", "QJET_EVENTS")
COMPOSE = Path("deploy/nats-server.conf")


def configured_by_up(data_dir: Path) -> Path:
    """Write what `qjet up` runs its broker with."""
    (data_dir / "logs").mkdir()
    return nats_server.write_config(data_dir, host="127.0.0.1", port=-1, monitor_port=-1)


def configured_for_compose(data_dir: Path) -> Path:
    """Write what Compose runs its broker with, at other addresses and in another folder."""
    (data_dir / "run").mkdir()
    text = COMPOSE.read_text()
    for theirs, ours in {
        "0.0.0.0:4222": '"127.0.0.1:-1"',
        "0.0.0.0:8222": '"127.0.0.1:-1"',
        "store_dir: /data": f'store_dir: "{data_dir}/jetstream"',
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    path = data_dir / "compose.conf"
    path.write_text(f'{text}ports_file_dir: "{data_dir}/run"\nlog_file: "{data_dir}/log"\n')
    return path


def configured_without_sync(data_dir: Path) -> Path:
    """Leave out of `qjet up`'s configuration what makes the broker sync."""
    path = configured_by_up(data_dir)
    lines = path.read_text().splitlines()
    kept = [line for line in lines if "sync_interval" not in line]
    assert len(kept) == len(lines) - 1
    path.write_text("\n".join(kept))
    return path


def synced_streams(strace: str, configure: Callable[[Path], Path], folder: Path) -> list[str]:
    """Run a task from its submission to its end; return which streams synced it before the ack."""
    data_dir = folder / "data"
    data_dir.mkdir()
    with (
        traced_server(strace, configure(data_dir), data_dir) as broker,
        service("resultstore", broker.url, folder),
        service("executor", broker.url, folder, sandboxes=1),
        service("gateway", broker.url, folder) as gateway,
        httpx.Client(base_url=gateway.url, timeout=60) as http,
    ):
        task_id = http.post("/tasks", json={"qc": BELL}).json()["task_id"]
        assert http.get(f"/tasks/{task_id}?wait=30").json()["status"] == "completed"
    trace = (data_dir / "trace").read_text(errors="replace")
    return [s for s in ON_THE_WAY if is_synced_before_ack(trace, stream=s, text=task_id)]


@pytest.mark.parametrize("configure", [configured_by_up, configured_for_compose])
def test_each_write_is_synced_before_it_is_acknowledged(strace, tmp_path, configure):
    """Task, result, entry and final event: each is synced to its file before the PubAck is sent."""
    assert synced_streams(strace, configure, tmp_path) == list(ON_THE_WAY)


def test_a_batch_is_synced_before_it_is_acknowledged(strace, tmp_path):
    """All of it, with one sync: its last message is written last."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with (
        traced_server(strace, configured_by_up(data_dir), data_dir) as broker,
        service("resultstore", broker.url, tmp_path),
        service("gateway", broker.url, tmp_path) as gateway,
        httpx.Client(base_url=gateway.url, timeout=60) as http,
    ):
        accepted = http.post("/batches", json={"tasks": [{"qc": BELL}] * 100}).json()
    trace = (data_dir / "trace").read_text(errors="replace")
    last = accepted["task_ids"][-1]
    assert is_synced_before_ack(trace, stream="QJET_TASKS", text=last, sequence=100)


def test_without_the_setting_nothing_would_be_synced(strace, tmp_path):
    """The control: the broker's own default acknowledges what a power cut takes."""
    assert synced_streams(strace, configured_without_sync, tmp_path) == []
