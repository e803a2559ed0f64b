"""Circuits that hurt, through a real executor: each gets its error, and nobody else notices."""

import asyncio
import time

import pytest
from nats.aio.client import Client as NatsClient

from tests.support import hostile
from tests.support.circuits import BELL, ENDLESS
from tests.support.services import service
from tests.support.tasks import final, stream_messages, submit

pytestmark = pytest.mark.integration

REPLACED_S = 5.0
"""More than it takes to start a sandbox on a busy machine."""

OUTPUT = {"qc": hostile.wide_counts(1000), "shots": 1_000_000, "memory": True}
HOSTILE = {
    "endless": ({"qc": ENDLESS, "timeout_s": 1}, "time_limit"),
    "parentheses": ({"qc": hostile.in_parentheses(100_000, version=3)}, "qasm_unsupported"),
    "doubling": ({"qc": hostile.doubling_gates(60, version=3)}, "qasm_unsupported"),
    "million": ({"qc": hostile.clifford(2).replace("[2]", "[1000000]")}, "too_many_qubits"),
    "billion": ({"qc": hostile.loop(1_000_000_000)}, "qasm_unsupported"),
    "forty": ({"qc": hostile.dense(40)}, "too_many_qubits"),
    "output": (OUTPUT, "memory_limit"),
    "endless-2": ({"qc": ENDLESS, "timeout_s": 1}, "time_limit"),
}


async def test_hostile_circuits_hurt_nobody_else(resultstore, broker, nc: NatsClient, tmp_path):
    """Eight of them, and Bell tasks all the while: typed errors there, counts here, promptly."""
    limits = {"sandboxes": 1, "sandbox_memory_mb": 512, "ack_wait_s": 2}
    with service("executor", broker.url, tmp_path, **limits) as executor:
        for name, (submission, _) in HOSTILE.items():
            await submit(nc, name, submission)
        waits = []
        for number in range(20):
            start = time.monotonic()
            await submit(nc, f"bell-{number}", BELL)
            task = await final(nc, f"bell-{number}")
            waits.append(time.monotonic() - start)
            assert (task["status"], set(task["result"])) == ("completed", {"00", "11"})
            await asyncio.sleep(0.1)  # spreads them over the others' time
        for name, (_, code) in HOSTILE.items():
            task = await final(nc, name, timeout_s=60)
            assert (name, task["error"]["code"]) == (name, code)
            assert task["error"]["hint"]
            assert task["attempts"] == 1
        assert max(waits) < REPLACED_S
        assert executor.process.poll() is None
    assert await stream_messages(nc, "QJET_TASKS") == 0
    assert await stream_messages(nc, "QJET_RESULTS") == len(HOSTILE) + len(waits)


async def test_a_sandbox_out_of_memory_ends_its_task_at_once(
    resultstore, broker, nc: NatsClient, tmp_path
):
    """Another try cannot help: one attempt, `memory_limit`, with the limit and what to do."""
    limits = {"sandboxes": 1, "sandbox_memory_mb": 256, "ack_wait_s": 2}
    greedy = {"qc": hostile.wide_counts(2_000), "shots": 300_000}
    with service("executor", broker.url, tmp_path, **limits):
        await submit(nc, "greedy", greedy)
        task = await final(nc, "greedy", timeout_s=60)
        assert (task["error"]["code"], task["attempts"]) == ("memory_limit", 1)
        assert "256 MiB" in task["error"]["message"]
        await submit(nc, "next", BELL)
        assert (await final(nc, "next"))["status"] == "completed"
