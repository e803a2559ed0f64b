"""Phases of a job: each second in one of them, and none where nothing was done."""

import time

import pytest

from qjet_executor.protocol import Job, Phases
from qjet_executor.simulate import Simulators
from qjet_executor.stopwatch import Stopwatch
from tests.support.circuits import BELL, COIN_20

pytestmark = pytest.mark.unit


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows what is next in the list."""
    times = []
    monkeypatch.setattr(time, "perf_counter", lambda: times.pop(0))
    return times


def test_a_phase_within_another_is_not_counted_twice(clock):
    """Seconds belong to the innermost phase."""
    clock.extend([0.0, 1.0, 3.0, 7.0])
    watch = Stopwatch()
    with watch.phase("simulate"), watch.phase("count"):
        pass
    assert watch.phases == Phases(simulate=1.0 + 4.0, count=2.0)


def test_a_phase_that_comes_again_adds_up(clock):
    """Also one that ends with an error; what lies between is in none."""
    clock.extend([0.0, 1.0, 10.0, 12.0])
    watch = Stopwatch()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"), watch.phase("parse"):
            raise ValueError("no")
    assert watch.phases == Phases(parse=3.0)


def job(qc=BELL, **options):
    return Job(
        **{
            "qc": qc,
            "shots": 100,
            "seed": None,
            "method": "statevector",
            "memory": False,
            **options,
        }
    )


@pytest.mark.parametrize(
    "options",
    [
        {"qc": COIN_20, "shots": 20_000},
        {"qc": COIN_20, "shots": 20_000, "seed": 7},
        {"shots": 50_000, "memory": True},
        {"observables": {"ZZ": 1.0}, "seed": 1},
    ],
    ids=["drawn", "seed", "memory", "observables"],
)
def test_the_phases_of_a_job_are_all_of_its_time(options):
    """Within a few milliseconds, however it is run."""
    simulators = Simulators(max_memory_mb=1000, max_threads=1)
    start = time.perf_counter()
    outcome = simulators.run(job(**options))
    whole_s = time.perf_counter() - start
    assert outcome.error is None
    phases = outcome.phases
    assert min(phases.parse, phases.transpile, phases.simulate, phases.count) > 0
    summed = phases.parse + phases.transpile + phases.simulate + phases.count
    assert whole_s - 0.02 - whole_s / 20 < summed <= whole_s


def test_a_circuit_seen_before_takes_no_time_to_read():
    """Zero, not what it took the first time."""
    simulators = Simulators(max_memory_mb=1000, max_threads=1)
    assert simulators.run(job()).phases.parse > 0
    again = simulators.run(job(shots=200)).phases
    assert (again.parse, again.transpile) == (0, 0)
    assert again.count > 0


def test_a_program_that_cannot_be_read_says_how_long_that_took():
    """Its other phases did not come."""
    simulators = Simulators(max_memory_mb=1000, max_threads=1)
    outcome = simulators.run(job("OPENQASM 3; qubit[2] q; bit c; c = mesure q[0];"))
    assert outcome.error
    assert outcome.phases.parse > 0
    assert outcome.phases.simulate == 0
