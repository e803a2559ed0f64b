"""Room: large tasks share an executor's memory and cores, and small ones go on beside them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio

from qjet_executor.child import Sandbox
from qjet_executor.protocol import Job, Room
from tests.support.circuits import BELL
from tests.support.services import service
from tests.support.tasks import final
from tests.support.tasks import submit as publish

pytestmark = pytest.mark.integration

HEAD = 'OPENQASM 3; include "stdgates.inc"; '
BUDGET = {"sandboxes": 2, "memory_budget_mb": 900}
"""Three sandboxes of 300 MiB each, if it were shared out; one may have 750, all but 75 for each."""


def dense(qubits: int, layers: int = 1, *, more: str = "") -> str:
    gates = "".join(f"ry(0.3) q[{n}];" for n in range(qubits)) * layers
    return f"{HEAD}qubit[{qubits}] q; bit[{qubits}] c; {gates} {more} c = measure q;"


HALF_A_GIB = 25
HARD_TO_TELL = "ctrl @ x q[0], q[1];"


def ran(task: dict) -> tuple[datetime, datetime]:
    assert task["status"] == "completed", task
    return tuple(datetime.fromisoformat(task[name]) for name in ("started_at", "finished_at"))


async def test_large_tasks_have_the_memory_one_after_another_and_small_ones_go_on(
    gateway, broker, nc, tmp_path
):
    """Each fits only while the other does not run; Bell tasks start and end meanwhile."""
    with service("executor", broker.url, tmp_path, **BUDGET):
        for number in range(2):
            await publish(nc, f"large-{number}", {"qc": dense(HALF_A_GIB, 3), "seed": 1})
        running = await nc.subscribe("qjet.events.*.running")
        await running.next_msg(30)
        for number in range(5):
            await publish(nc, f"bell-{number}", BELL)
            await final(nc, f"bell-{number}")
        large = sorted([ran(await final(nc, f"large-{number}")) for number in range(2)])
        bells = [ran(await final(nc, f"bell-{number}")) for number in range(5)]
    assert large[0][1] <= large[1][0]
    assert max(bells)[1] < large[-1][1]


@pytest.mark.parametrize("more", ["", HARD_TO_TELL], ids=["told by its text", "told by Aer"])
async def test_more_than_an_equal_share_runs_where_the_rest_is_free(
    gateway, broker, nc, tmp_path, more
):
    """Whether the text says how much it needs, or only Aer finds out."""
    with service("executor", broker.url, tmp_path, **BUDGET):
        await publish(nc, "large", {"qc": dense(HALF_A_GIB, more=more), "shots": 10})
        assert (await final(nc, "large"))["status"] == "completed"


@pytest.mark.parametrize("more", ["", HARD_TO_TELL], ids=["told by its text", "told by Aer"])
async def test_what_can_never_fit_is_refused_at_once_with_the_true_limit(
    gateway, broker, nc, tmp_path, more
):
    """The limit is what one task could have, not what this one was given."""
    with service("executor", broker.url, tmp_path, **BUDGET):
        await publish(nc, "huge", dense(26, more=more))
        error = (await final(nc, "huge"))["error"]
    assert error["code"] == "too_many_qubits"
    assert "1 GiB" in error["message"]
    assert "750 MiB may be used" in error["message"]


async def test_a_fixed_limit_stays_what_it_says(gateway, broker, nc, tmp_path):
    """Whatever the rest of the machine does."""
    with service("executor", broker.url, tmp_path, sandboxes=1, sandbox_memory_mb=300):
        await publish(nc, "large", dense(HALF_A_GIB))
        await publish(nc, "fits", {"qc": dense(HALF_A_GIB - 1), "shots": 10})
        error = (await final(nc, "large"))["error"]
        assert (await final(nc, "fits"))["status"] == "completed"
    assert "300 MiB may be used" in error["message"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    started = await Sandbox.start(memory_mb=600, threads=3)
    yield started
    await started.kill()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_run_has_the_threads_it_is_given_and_the_same_counts(sandbox):
    """As many as its room says, from run to run; a seed gives what it gives with any number."""
    counts = set()
    for threads in (1, 2, 3):
        room = Room(memory_mb=600, most_mb=600, threads=threads)
        before = _ticks(sandbox.pid)
        outcome = await sandbox.run(_job(dense(22, 3), room), timeout_s=60)
        assert outcome.error is None
        counts.add(outcome.counts)
        after = _ticks(sandbox.pid)
        worked = [thread for thread in after if after[thread] > before.get(thread, 0) + 5]
        assert len(worked) == threads
    assert len(counts) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_run_has_the_memory_it_is_given(sandbox):
    """What does not fit says how much would do; the next may have more, or less."""
    for memory_mb, needs_mb in [(64, 256), (256, 0), (64, 256)]:
        room = Room(memory_mb=memory_mb, most_mb=512, threads=1)
        outcome = await sandbox.run(_job(dense(24), room), timeout_s=60)
        assert outcome.needs_mb == needs_mb
        assert (outcome.error is None) == (not needs_mb)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_kernel_holds_a_run_to_the_memory_it_is_given(sandbox):
    """Also where it is not Aer that takes it."""
    limits = Path(f"/proc/{sandbox.pid}/limits")

    async def soft_limit_while(memory_mb: int) -> int:
        room = Room(memory_mb=memory_mb, most_mb=512, threads=1)
        running = asyncio.create_task(sandbox.run(_job(dense(20, 20), room), timeout_s=60))
        await asyncio.sleep(0)
        found = set()
        while not running.done():
            line = next(ln for ln in limits.read_text().splitlines() if "data size" in ln)
            found.add(int(line.split()[3]))
            await asyncio.sleep(0.01)
        assert (await running).error is None
        return max(found) if memory_mb > 100 else min(found)

    small, large = await soft_limit_while(64), await soft_limit_while(512)
    assert large - small == (512 - 64) << 20


def _job(qc: str, room: Room) -> Job:
    return Job(qc=qc, shots=100, seed=7, method="automatic", memory=False, room=room)


def _ticks(pid: int) -> dict[str, int]:
    """Return each thread's processor time. Source: proc(5), fields 14 and 15 of stat."""
    ticks = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        fields = (thread / "stat").read_text().rpartition(")")[2].split()
        ticks[thread.name] = int(fields[11]) + int(fields[12])
    return ticks
