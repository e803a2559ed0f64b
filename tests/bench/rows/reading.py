"""Reading OpenQASM 3: `read_circuit` with all its checks against `qiskit.qasm3.loads`."""

import time
from functools import partial
from random import Random
from typing import Any

from msgspec import Struct
from qiskit import qasm3

from qjet_executor.circuits import read_circuit
from tests.bench import plain
from tests.bench.circuits import flat, qft
from tests.bench.frame import Found, Line, Options, Row, Target, alternate, ratios


class Reading(Struct, frozen=True):
    """Which program to read. `times` are those of a round, for the importer and for qjet."""

    title: str
    target: float
    gates: int
    times: tuple[int, int]


READINGS = {
    "read-qft": Reading("reading a 160-gate QFT", 30, 160, (3, 50)),
    "read-10000": Reading("reading a 10,000-gate circuit", 50, 10_000, (1, 3)),
}


def measure(reading: Reading, options: Options) -> Found:
    """Alternate both readers in one warm process, on a program of its own each round."""
    with plain.Workers() as workers:
        workers.call(check, _program(reading, options, -1))

        def side(function: Any, times: int, number: int) -> float:
            return float(workers.call(function, _program(reading, options, number), times))

        rounds = alternate(
            options.rounds,
            loads=partial(side, loads_s, reading.times[0]),
            qjet=partial(side, read_s, reading.times[1]),
        )
    title = f"{reading.title}: against qiskit.qasm3.loads"
    figures = ratios(rounds, "loads", "qjet")
    target = Target(">=", reading.target)
    milliseconds = [1000 * each["qjet"] for each in rounds]
    return Found(
        lines=[
            Line(title=title, unit="×", figures=figures, target=target),
            Line(title="  read_circuit, with its checks", unit="ms", figures=milliseconds),
        ],
        rounds=rounds,
    )


def _program(reading: Reading, options: Options, number: int) -> str:
    chance = Random(f"{reading.title} {number}")
    if reading.gates == READINGS["read-qft"].gates:
        return qft(16, chance)
    return flat(16, options.size(reading.gates, reading.gates // 20), chance)


def loads_s(source: str, times: int) -> float:
    """Return the seconds that the reference importer takes."""
    start = time.perf_counter()
    for _ in range(times):
        qasm3.loads(source)
    return (time.perf_counter() - start) / times


def read_s(source: str, times: int) -> float:
    """Return the seconds that the executor's reading takes, all its checks included."""
    start = time.perf_counter()
    for _ in range(times):
        read_circuit(source)
    return (time.perf_counter() - start) / times


def check(source: str) -> None:
    """Make sure that both read the same operations."""
    ours, theirs = read_circuit(source), qasm3.loads(source)
    if ours.count_ops() != theirs.count_ops():
        raise RuntimeError(f"the readers differ: {ours.count_ops()}, {theirs.count_ops()}")


ROWS = [Row(name=name, measure=partial(measure, reading)) for name, reading in READINGS.items()]
