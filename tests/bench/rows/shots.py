"""Many shots of a small circuit: counts drawn by qjet against Aer's own counting."""

import time
from functools import cache, partial
from random import Random
from typing import Any

import msgspec
from qiskit import qasm3

from qjet_executor.protocol import Job
from qjet_executor.simulate import Simulators
from tests.bench import plain
from tests.bench.circuits import layers
from tests.bench.frame import Found, Line, Options, Row, Target, alternate, ratios

SHOTS = 100_000
QUBITS = 5
MEMORY_MB = 4096
REPEATS = 5


def measure(options: Options) -> Found:
    """Alternate Aer and qjet, with a new circuit each time and with one seen before."""
    with plain.Workers() as workers:
        workers.call(new_s, -1)
        rounds = alternate(
            options.rounds,
            aer=lambda number: workers.call(aer_s, number),
            new=lambda number: workers.call(new_s, number),
            again=lambda number: workers.call(again_s, number),
        )
    line = partial(Line, unit="×", target=Target(">=", 10))
    title = f"{SHOTS:,} shots, no seed: against Aer's run and get_counts"
    return Found(
        lines=[
            line(title=f"{title}, a new circuit each time", figures=ratios(rounds, "aer", "new")),
            line(title=f"{title}, seen before", figures=ratios(rounds, "aer", "again")),
        ],
        rounds=rounds,
    )


def aer_s(number: int) -> float:
    """Return the seconds of `run` and `get_counts` for a circuit already read."""
    circuits = [qasm3.loads(_program(f"aer {number} {each}")) for each in range(REPEATS)]
    start = time.perf_counter()
    found = [plain.simulator().run(each, shots=SHOTS).result().get_counts() for each in circuits]
    seconds = (time.perf_counter() - start) / REPEATS
    _check(found)
    return seconds


def new_s(number: int) -> float:
    """Return the seconds of `Simulators.run` for circuits not seen before, reading included."""
    return _qjet_s([_program(f"new {number} {each}") for each in range(REPEATS)])


def again_s(number: int) -> float:
    """Return the seconds of `Simulators.run` for a circuit that it ran just before."""
    source = _program(f"again {number}")
    _qjet_s([source])
    return _qjet_s([source] * REPEATS)


def _qjet_s(sources: list[str]) -> float:
    jobs = [
        Job(qc=source, shots=SHOTS, seed=None, method="automatic", memory=False)
        for source in sources
    ]
    start = time.perf_counter()
    outcomes = [_simulators().run(job) for job in jobs]
    seconds = (time.perf_counter() - start) / len(jobs)
    _check([msgspec.json.decode(outcome.counts) for outcome in outcomes])
    return seconds


def _program(seed: str) -> str:
    return layers(QUBITS, 3, Random(seed))


@cache
def _simulators() -> Simulators:
    simulators = Simulators(max_memory_mb=MEMORY_MB, max_threads=1)
    simulators.warm_up()
    return simulators


def _check(found: list[Any]) -> None:
    if any(sum(counts.values()) != SHOTS for counts in found):
        raise RuntimeError("counts do not sum to the shots")


ROWS = [Row(name="shots", measure=measure)]
