"""Several short jobs on their way through one sandbox: each answers for itself alone."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator

import pytest

from qjet_executor.child import Sandbox, SandboxDiedError
from qjet_executor.pool import Pool, PoolShape
from qjet_executor.protocol import Job, Outcome
from qjet_executor.seats import MOST_RIDES, Seats
from qjet_shared.metrics import ExecutorMetrics
from tests.support.circuits import BELL, ENDLESS
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

MEMORY_MB = 200


def job(qc: str = BELL, shots: int = 10) -> Job:
    return Job(qc=qc, shots=shots, seed=None, method="automatic", memory=False)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A warm one."""
    made = await Sandbox.start(memory_mb=MEMORY_MB, threads=1)
    yield made
    await made.kill()


class Ride:
    """A job that was given to a sandbox, and whether it was started."""

    def __init__(self, sandbox: Sandbox, qc: str = BELL, shots: int = 10, timeout_s: float = 60):
        self.job = job(qc, shots)
        self.is_started = False
        self.task = asyncio.create_task(
            sandbox.run(self.job, timeout_s=timeout_s, on_start=self._start)
        )

    def _start(self) -> None:
        self.is_started = True

    async def end(self) -> str:
        """Return how it ended: by a word."""
        try:
            outcome = await self.task
        except SandboxDiedError as exc:
            return exc.reason
        except TimeoutError:
            return "time_limit"
        return "done" if outcome.error is None else outcome.error.code


async def started(ride: Ride) -> None:
    await wait_until(lambda: ride.is_started, "it runs")


async def ends(*rides: Ride) -> list[str]:
    return list(await asyncio.gather(*(ride.end() for ride in rides)))


async def test_each_gets_its_own_answer_in_order(sandbox):
    """Nobody gets another's counts."""
    outcomes: list[Outcome] = await asyncio.gather(
        *(sandbox.run(job(shots=n), timeout_s=60) for n in range(1, 101))
    )
    totals = [sum(json.loads(outcome.counts).values()) for outcome in outcomes]
    assert totals == list(range(1, 101))
    assert sandbox.jobs_done == 100


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "crashed")]
)
async def test_a_death_is_blamed_on_the_one_that_ran(sandbox, number, reason):
    """Those behind it never started, and run elsewhere."""
    rides = [Ride(sandbox), Ride(sandbox, ENDLESS), Ride(sandbox), Ride(sandbox)]
    await started(rides[1])
    os.kill(sandbox.pid, number)
    assert await ends(*rides) == ["done", reason, "bystander", "bystander"]
    assert [ride.is_started for ride in rides] == [True, True, False, False]
    assert sandbox.unfit_for == reason


async def test_nobody_waits_long_behind_one_that_is_stuck(sandbox):
    """Half a second; the one that runs may go on."""
    rides = [Ride(sandbox, ENDLESS, timeout_s=3), Ride(sandbox), Ride(sandbox)]
    assert await asyncio.wait_for(ends(*rides[1:]), 2) == ["bystander", "bystander"]
    assert not rides[0].task.done()
    assert sandbox.unfit_for == "stuck"
    assert await rides[0].end() == "time_limit"
    assert sandbox.unfit_for == "time_limit"


async def test_time_is_counted_from_the_start_of_each(sandbox):
    """Not from when it was handed over."""
    rides = [Ride(sandbox, ENDLESS, timeout_s=0.3), Ride(sandbox, timeout_s=0.1)]
    assert await ends(*rides) == ["time_limit", "bystander"]


async def test_a_cancelled_one_ends_the_sandbox_only_where_it_runs(sandbox):
    """One that waits is just not waited for; the one that runs is ended at once."""
    rides = [Ride(sandbox, ENDLESS), Ride(sandbox), Ride(sandbox)]
    await started(rides[0])
    sandbox.cancel(rides[1].job)
    assert await rides[1].end() == "cancelled"
    assert not rides[0].task.done()
    assert not sandbox.unfit_for
    sandbox.cancel(rides[0].job)
    assert await ends(rides[0], rides[2]) == ["cancelled", "bystander"]
    assert not rides[1].is_started


async def test_short_tasks_share_and_others_do_not():
    """Short ones join the least taken sandbox that others like them have; the rest waits."""
    shape = PoolShape(size=3, most_memory_mb=MEMORY_MB, threads=1, max_tasks=1000)
    pool = Pool(shape, ExecutorMetrics(), on_free=lambda: None, on_hopeless=pytest.fail)
    pool.start()
    try:
        await wait_until(lambda: pool.live == 3, "all are up", timeout_s=60)
        short = [await pool.take("default", shares=True) for _ in range(2 * MOST_RIDES)]
        assert len(set(short)) == 2
        assert all(short.count(sandbox) == MOST_RIDES for sandbox in set(short))
        assert pool.take_now("default", shares=True) is None
        assert pool.take_now("default") is None
        large = pool.take_now("large")
        assert large is not None
        assert large not in short
        pool.give_back(short[0])
        assert pool.take_now("default", shares=True) is short[0]
    finally:
        await pool.close()


def test_rounds_are_as_long_as_tasks_are_short():
    """One at a time until they are known to be short; and again once they are not."""
    seats = Seats(2)
    assert seats.rides == 1
    for _ in range(100):
        seats.took(0.0005)
    assert seats.rides == MOST_RIDES
    assert seats.room("default", 3) == 2 * MOST_RIDES
    for _ in range(50):
        seats.took(0.03)
    assert seats.rides == 1
    assert seats.room("default", 3) == 2
