"""Sharing an executor: nobody gets what is not there, nobody waits for ever."""

import asyncio
from contextlib import ExitStack

import pytest

from qjet_executor.budget import Budget, Cores, MemoryPlan
from qjet_executor.need import need_of
from qjet_shared.messages.submission import Submission
from qjet_shared.noise import NoiseModel, Readout
from tests.support.circuits import BELL, ENDLESS
from tests.support.waiting import wait_until

pytestmark = pytest.mark.unit

HEAD = 'OPENQASM 3; include "stdgates.inc"; '
NOISE = NoiseModel(readout=Readout(p01=0.1, p10=0.1))
PLAN = MemoryPlan(own_mb=100, share_mb=400, most_mb=1000, pool_mb=900)
"""Three sandboxes: each has 100 MiB of its own, and 900 are shared."""


def circuit(qubits: int) -> str:
    gates = "".join(f"ry(0.3) q[{n}];" for n in range(qubits))
    return f"{HEAD}qubit[{qubits}] q; bit[{qubits}] c; {gates} c = measure q;"


@pytest.mark.parametrize(
    ("needed_mb", "granted_mb"),
    [
        (0.1, 100),
        (25, 100),
        (50, 200),
        (300, 400),
        (500, 500),
        (1000, 1000),
        (1001, 100),
        (float("inf"), 100),
        (None, 400),
    ],
)
def test_a_task_is_granted_what_it_needs_with_a_margin_up_to_its_share(needed_mb, granted_mb):
    """Never less than a sandbox's own; what can never fit waits for nothing."""
    assert PLAN.grant_mb(needed_mb) == granted_mb


def test_what_falls_back_gets_an_equal_share():
    """How much matrix_product_state needs depends on the gates."""
    assert PLAN.grant_mb(5000, may_fall_back=True) == 400
    assert PLAN.grant_mb(500, may_fall_back=True) == 500


async def test_grants_together_never_exceed_what_there_is():
    """A second large task waits for the first to end, and a small one does not."""
    budget = Budget(PLAN)
    async with budget.granted(600, patience_s=5):
        second = asyncio.create_task(_hold(budget, 600))
        async with budget.granted(100, patience_s=0.001):
            await asyncio.sleep(0)
            assert not second.done()
    await asyncio.wait_for(second, 5)


async def test_a_large_task_is_not_overtaken_for_ever():
    """Who asks after it waits behind it, even where there would be room."""
    budget, order = Budget(PLAN), []

    async def hold(name: str, memory_mb: int) -> None:
        async with budget.granted(memory_mb, patience_s=5):
            order.append(name)

    async with budget.granted(400, patience_s=5):
        large = asyncio.create_task(hold("large", 1000))
        await asyncio.sleep(0)
        medium = asyncio.create_task(hold("medium", 400))
        await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(large, medium)
    assert order == ["large", "medium"]


async def test_who_waits_in_vain_is_told_and_makes_it_known_until_something_is_free():
    """So that no other large task is fetched meanwhile."""
    budget = Budget(PLAN)
    async with budget.granted(1000, patience_s=5):
        with pytest.raises(TimeoutError):
            await _hold(budget, 200, patience_s=0.01)
        assert budget.is_tight
    assert not budget.is_tight
    await _hold(budget, 1000)


async def test_who_is_cancelled_while_waiting_leaves_nothing_behind():
    """Whoever comes next has all of it."""
    budget = Budget(PLAN)
    async with budget.granted(1000, patience_s=5):
        waiting = asyncio.create_task(_hold(budget, 1000))
        await asyncio.sleep(0)
        waiting.cancel()
        await wait_until(waiting.done, "the wait has ended")
    await _hold(budget, 1000)


async def _hold(budget: Budget, memory_mb: int, *, patience_s: float = 5) -> None:
    async with budget.granted(memory_mb, patience_s=patience_s):
        pass


def test_a_long_task_alone_has_all_cores_and_the_next_its_share():
    """Short ones have one thread each, and take nothing from the others."""
    cores = Cores(8)
    with ExitStack() as running:
        threads = [
            running.enter_context(cores.shared(is_long=is_long))
            for is_long in (False, True, False, True, True)
        ]
    assert threads == [1, 8, 1, 4, 2]
    with cores.shared(is_long=True) as again:
        assert again == 8


@pytest.mark.parametrize(
    ("qc", "options", "least_mb", "most_mb"),
    [
        (BELL, {}, 0, 2),
        (circuit(24), {}, 256, 300),
        (circuit(24), {"precision": "single"}, 128, 160),
        (circuit(28), {}, 4096, 4200),
        (circuit(12), {"method": "density_matrix"}, 256, 300),
        (circuit(8), {"noise_model": NOISE, "shots": 1000}, 1, 4),
        (circuit(12), {"noise_model": NOISE, "shots": 8192}, 256, 300),
        (circuit(100), {"method": "stabilizer"}, 0, 4),
        (circuit(12), {"method": "matrix_product_state"}, 0, 10),
        (circuit(2), {"shots": 1_000_000, "memory": True}, 500, 800),
    ],
)
def test_what_a_text_needs_is_its_state_and_some_for_the_rest(qc, options, least_mb, most_mb):
    """Gates, bits and outcomes take some, too."""
    need = need_of(_submission(qc, options))
    assert least_mb <= need.memory_mb <= most_mb


@pytest.mark.parametrize(
    ("qc", "options"),
    [
        (ENDLESS, {}),
        (HEAD + "const int n = 3; qubit[n] q; bit c; c = measure q[0];", {}),
        (circuit(20), {"method": "matrix_product_state"}),
        (circuit(2), {"method": "extended_stabilizer"}),
    ],
)
def test_what_cannot_be_told_from_a_text_is_not_guessed(qc, options):
    """Loops, computed sizes, and methods whose state depends on the gates."""
    assert need_of(_submission(qc, options)).memory_mb is None


@pytest.mark.parametrize(
    ("qc", "is_long"), [(BELL, False), (circuit(12), False), (circuit(20), True), (ENDLESS, True)]
)
def test_only_long_tasks_want_threads(qc, is_long):
    """Below 20 ms of simulating, starting them costs what they gain."""
    assert need_of(Submission(qc=qc)).is_long == is_long


def _submission(qc: str, options: dict) -> Submission:
    return Submission(qc=qc, **options)
