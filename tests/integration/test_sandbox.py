"""Whatever a circuit does, it does to its own sandbox: a typed error in good time, and on it goes.

The sandboxes are real ones, kept by a real pool; no broker is needed.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from qjet_executor.child import Sandbox
from qjet_executor.death import SandboxDiedError
from qjet_executor.pool import Pool, PoolShape
from qjet_executor.protocol import Job
from qjet_shared.metrics import ExecutorMetrics
from tests.support import hostile
from tests.support.circuits import BELL, COIN_20, ENDLESS
from tests.support.hostile import END_3, ONE_3, START_2, START_3
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

MEMORY_MB = 256
LEFT_TO_THE_IMPORTER = " for uint i in [1:1] { x q[0]; }"
"""What the reader of plain programs does not read; the importer takes more memory for it all."""

MAX_RESULT_MB = 100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[Pool]:
    """One sandbox, replaced whenever it is of no more use."""
    shape = PoolShape(
        size=1, most_memory_mb=MEMORY_MB, threads=1, max_tasks=1000, max_result_mb=MAX_RESULT_MB
    )
    made = Pool(shape, ExecutorMetrics(), on_free=lambda: None, on_hopeless=pytest.fail)
    made.start()
    yield made
    await made.close()


async def run(pool, qc, *, shots=100, seed=None, method="automatic", memory=False, timeout_s=60.0):
    """Run one circuit as the worker does, in whatever sandbox is free."""
    sandbox = await pool.take()
    try:
        job = Job(qc=qc, shots=shots, seed=seed, method=method, memory=memory)
        return await sandbox.run(job, timeout_s=timeout_s)
    finally:
        pool.give_back(sandbox)


async def runs_a_bell(pool):
    outcome = await run(pool, BELL)
    return outcome.error is None and set(outcome.counts.decode()) >= {"0", "1"}


REFUSED = {
    "parentheses, 3": (hostile.in_parentheses(100_000, version=3), "qasm_unsupported", "deeply"),
    "blocks": (hostile.in_blocks(3_000), "qasm_unsupported", "deeply"),
    "doubling, 3": (hostile.doubling_gates(60, version=3), "qasm_unsupported", "131,072 op"),
    "doubling, 2": (hostile.doubling_gates(60, version=2), "qasm_unsupported", "131,072 op"),
    "chain of gates": (hostile.chained_gates(2_000), "qasm_unsupported", "deeply"),
    "a million qubits": (
        START_3 + "qubit[1000000] q; bit[1000000] c; h q; c = measure q;",
        "too_many_qubits",
        "declares 1,000,000 qubits",
    ),
    "a million qubits, 2": (
        START_2 + "qreg q[1000000]; creg c[1]; h q; measure q[0] -> c[0];",
        "too_many_qubits",
        "declares 1,000,000 qubits",
    ),
    "bits": (
        START_3 + "qubit[1] q; bit[100000000] c; c[0] = measure q[0];",
        "memory_limit",
        "100,000,000 classical bits",
    ),
    "bits, 2": (
        START_2 + "qreg q[1]; creg c[100000000]; measure q[0] -> c[0];",
        "memory_limit",
        "100,000,000 classical bits",
    ),
    "bits by the line": (
        START_2 + "qreg q[1];" + "".join(f"creg c{i}[10000];" for i in range(100)) + "x q[0];",
        "memory_limit",
        "1,000,000 classical bits",
    ),
    "a billion rounds": (hostile.loop(10**9), "qasm_unsupported", "131,072 operations"),
    "forty qubits": (hostile.dense(40), "too_many_qubits", "40 qubits need 16 TiB"),
}


@pytest.mark.parametrize(("qc", "code", "says"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_fit_is_refused_within_seconds(pool, qc, code, says):
    """With a typed error that says how much it would be; the sandbox is not even replaced."""
    before = await pool.take()
    pool.give_back(before)
    started = time.monotonic()
    outcome = await run(pool, qc)
    assert time.monotonic() - started < 20
    assert outcome.error
    assert (outcome.error.code, outcome.error.hint is None) == (code, False)
    assert says in outcome.error.message
    assert await runs_a_bell(pool)
    after = await pool.take()
    pool.give_back(after)
    assert after is before


RUNNING = {
    "parentheses, 2": hostile.in_parentheses(100_000, version=2),
    "a power of a billion": f"{ONE_3} pow(1000000000) @ x q[0]; {END_3}",
    "huge names": f"{START_2} qreg {'q' * 100_000}[1]; creg c[1]; measure {'q' * 100_000} -> c;",
    "a large device": f"{START_3} qubit[5000] q; bit[1] c; h q[0]; c[0] = measure q[0];",
    "unused qubits": f"{hostile.dense(5)} qubit[60] r; h r; t r;",
    "many gates": hostile.long_source(20_000, padding=80),
    "a loop": hostile.loop(5_000),
    "gates in gates": hostile.doubling_gates(12, version=2),
}


@pytest.mark.parametrize("qc", RUNNING.values(), ids=RUNNING)
async def test_what_only_looks_large_runs(pool, qc):
    """Nothing is refused that a sandbox can do."""
    outcome = await run(pool, qc)
    assert outcome.error is None


@pytest.mark.parametrize(
    ("qc", "method", "advice"),
    [
        (hostile.clifford(40), "statevector", "Method stabilizer fits"),
        (hostile.clifford(15), "density_matrix", "Method stabilizer fits; method statevector fits"),
        (hostile.dense(40), "statevector", "Method matrix_product_state may fit"),
        (hostile.dense(70), "extended_stabilizer", "Method matrix_product_state may fit"),
        (hostile.dense(13), "density_matrix", "Method statevector fits"),
    ],
)
async def test_the_advice_names_a_method_that_fits(pool, qc, method, advice):
    """Stabilizer only where all gates are Clifford gates; and what is named does run."""
    outcome = await run(pool, qc, method=method)
    assert outcome.error
    assert outcome.error.code == "too_many_qubits"
    assert advice in outcome.error.hint
    assert ("stabilizer" in outcome.error.hint) == ("Method stabilizer" in advice)
    named = advice.split()[1]
    assert (await run(pool, qc, method=named)).error is None


@pytest.mark.parametrize(("qubits", "fits"), [(24, True), (25, False)])
async def test_a_state_of_just_the_limit_runs(pool, qubits, fits):
    """24 qubits are 256 MiB, all that this sandbox may use."""
    outcome = await run(pool, hostile.dense(qubits), shots=10)
    assert (outcome.error is None) == fits


@pytest.mark.parametrize(
    "qc",
    [
        START_3 + "qubit[1] q; bit[500000] c; c[0] = measure q[0];",
        START_2 + "qreg q[1]; creg c[500000]; measure q[0] -> c[0];",
        hostile.loop(10**30),
        hostile.chained_gates(20_000),
        hostile.doubling_gates(16, version=3) + LEFT_TO_THE_IMPORTER,
        hostile.wide_counts(2_000),
    ],
    ids=["bits", "bits, 2", "rounds", "chain", "gates in gates", "counts"],
)
async def test_what_takes_more_memory_than_it_may_ends_as_such(pool, qc):
    """Whoever it is that gets no more memory: NumPy, CPython, Rust, C++ or Aer."""
    try:
        error = (await run(pool, qc, shots=300_000)).error
        assert error
        reason = "memory" if error.code == "memory_limit" else error.code
    except SandboxDiedError as exc:
        reason = exc.reason
    assert reason == "memory"
    assert await runs_a_bell(pool)


async def test_a_sandbox_that_has_kept_much_memory_is_replaced(pool):
    """Each job starts with all of the memory that it may use."""
    for _ in range(3):
        await run(pool, hostile.long_source(60_000, padding=1))
    outcome = await run(pool, hostile.dense(24), shots=10)
    assert outcome.error is None


@pytest.mark.parametrize(
    "qc", [ENDLESS, ONE_3 + "x q[0];" * 100_000 + END_3], ids=["simulating", "reading"]
)
async def test_what_takes_too_long_is_ended_at_its_time_limit(pool, qc):
    """Simulating or reading; the next circuit runs in another sandbox."""
    with pytest.raises(TimeoutError):
        await run(pool, qc, timeout_s=1)
    assert await runs_a_bell(pool)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGSEGV, "crashed"),
        (signal.SIGABRT, "crashed"),
        (signal.SIGBUS, "crashed"),
        (signal.SIGFPE, "crashed"),
        (signal.SIGILL, "crashed"),
        (signal.SIGKILL, "killed"),
        (signal.SIGTERM, "killed"),
    ],
)
async def test_a_death_says_whether_another_try_can_help(pool, number, reason):
    """A circuit that crashes its sandbox mostly does it again; a kill came from outside."""
    sandbox = await pool.take()
    job = Job(qc=ENDLESS, shots=1, seed=None, method="automatic", memory=False)
    before = _cpu_ticks(sandbox.pid)
    running = asyncio.create_task(sandbox.run(job, timeout_s=60))
    await wait_until(lambda: _cpu_ticks(sandbox.pid) > before + 5, "the sandbox works")
    os.kill(sandbox.pid, number)
    with pytest.raises(SandboxDiedError) as caught:
        await running
    pool.give_back(sandbox)
    assert caught.value.reason == reason
    assert number.name in str(caught.value)
    assert await runs_a_bell(pool)


@pytest.mark.parametrize(
    ("qc", "shots", "memory", "needed"),
    [
        (
            f"{START_2} qreg q[1]; creg c[1000]; h q[0]; measure q[0] -> c[0];",
            10**6,
            True,
            "956.5 MiB",
        ),
        (f"{START_3} qubit[20] q; bit[20] c; h q; c = measure q;", 6_000_000, True, "131.6 MiB"),
    ],
)
async def test_per_shot_outcomes_that_are_too_large_are_refused_beforehand(
    pool, qc, shots, memory, needed
):
    """Their size is known: shots times bits."""
    started = time.monotonic()
    outcome = await run(pool, qc, shots=shots, memory=memory)
    assert time.monotonic() - started < 5
    assert outcome.error
    assert outcome.error.code == "memory_limit"
    assert needed in outcome.error.message
    assert "100 MiB" in outcome.error.message
    assert "leave `memory` out" in outcome.error.hint


async def test_counts_that_are_too_large_are_an_error_too():
    """How many different outcomes there are is known only afterwards."""
    sandbox = await Sandbox.start(memory_mb=MEMORY_MB, threads=1, max_result_mb=1)
    try:
        job = Job(qc=COIN_20, shots=100_000, seed=None, method="automatic", memory=False)
        outcome = await sandbox.run(job, timeout_s=60)
        assert outcome.error
        assert outcome.error.code == "memory_limit"
        assert "1 MiB may be stored" in outcome.error.message
        assert not sandbox.unfit_for
    finally:
        await sandbox.kill()


async def test_large_results_that_are_allowed_come_back_whole(pool):
    """A million shots over twenty qubits, and each outcome of a hundred thousand."""
    counts = await run(pool, COIN_20, shots=1_000_000)
    memory = await run(pool, COIN_20, shots=100_000, memory=True)
    assert counts.error is None
    assert memory.error is None
    assert memory.memory.count(b'"') == 2 * 100_000


async def test_a_run_takes_no_more_threads_than_it_is_given():
    """Whatever library counts the cores: one more thread each would starve the other sandboxes."""
    sandbox = await Sandbox.start(memory_mb=MEMORY_MB, threads=1)
    try:
        job = Job(qc=hostile.dense(22), shots=1000, seed=1, method="statevector", memory=False)
        running = asyncio.create_task(sandbox.run(job, timeout_s=60))
        most = 0
        while not running.done():
            most = max(most, _threads(sandbox.pid))
            await asyncio.sleep(0.01)
        assert (await running).error is None
        assert most == 2  # the interpreter's, and the one that Aer runs its jobs in
    finally:
        await sandbox.kill()


def _cpu_ticks(pid: int) -> int:
    """Return the processor time used. Source: proc(5), fields 14 and 15 of stat."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[11]) + int(after_name[12])


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
