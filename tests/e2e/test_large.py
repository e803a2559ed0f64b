"""Results far beyond the broker's largest message: whole over HTTP, and over NATS by their name."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from qiskit import qasm3
from qiskit_aer import AerSimulator

from tests.support.circuits import COIN_20
from tests.support.stack import RunningStack

pytestmark = pytest.mark.e2e

MESSAGE_LIMIT = 1 << 20
SEED = 11
LARGE = [(1_000_000, False), (100_000, True)]


def by_aer(shots: int, *, memory: bool) -> dict[str, Any]:
    """Return what Aer itself gives for twenty coins."""
    aer = AerSimulator(method="statevector")
    circuit = qasm3.loads(COIN_20)
    found = aer.run(circuit, shots=shots, seed_simulator=SEED, memory=memory).result()
    expected: dict[str, Any] = {"result": dict(found.get_counts())}
    return {**expected, "memory": found.get_memory()} if memory else expected


@pytest.mark.parametrize(("shots", "memory"), LARGE)
async def test_a_large_result_is_whole_wherever_it_is_read(
    stack: RunningStack, nats_cli: str, tmp_path: Path, shots, memory
):
    """Aer's own counts and outcomes, many times a message's limit, by HTTP and the nats command."""
    nc = await nats.connect(stack.nats)
    assert nc.max_payload == MESSAGE_LIMIT
    await nc.close()
    submission = {"qc": COIN_20, "shots": shots, "seed": SEED, "method": "statevector"}
    with httpx.Client(base_url=stack.http, timeout=90) as http:
        answer = http.post("/tasks", json={**submission, "memory": memory})
        task_id = answer.json()["task_id"]
        expected = by_aer(shots, memory=memory)  # on the other core
        read = http.get(f"/tasks/{task_id}", params={"wait": 60})
    assert len(read.content) > 4 * MESSAGE_LIMIT
    task = read.json()
    assert task["status"] == "completed", task["error"]
    assert {name: task[name] for name in expected} == expected
    assert "blob" not in task

    def command(*arguments: str) -> bytes:
        words = [nats_cli, "--server", stack.nats, *arguments]
        return subprocess.run(words, capture_output=True, check=True, timeout=60).stdout

    entry = json.loads(command("kv", "get", "qjet-results", task_id, "--raw"))
    assert (entry["status"], entry["result"]) == ("completed", None)
    file = tmp_path / "blob.json"
    command("object", "get", "qjet-blobs", entry["blob"]["name"], "--output", str(file))
    assert file.stat().st_size == entry["blob"]["size_bytes"]
    assert json.loads(file.read_bytes()) == expected
