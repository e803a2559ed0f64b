"""Large circuits through the service against bare Aer with the same threads."""

import time
from functools import partial
from random import Random
from typing import Any

from qiskit import qasm3
from qiskit_aer import AerSimulator

from tests.bench import plain
from tests.bench.circuits import layers
from tests.bench.frame import Found, Line, Options, Row, Target, alternate, figures_of
from tests.bench.load import SHOTS, run_one
from tests.bench.stacks import fresh_stack

QUBITS = (22, 24, 26)
QUICK_QUBITS = (14, 16)
DEPTH = 2
MOST = Target("<=", 1.03)


def measure(options: Options) -> Found:
    """Alternate both for each size: the whole task, and its simulation alone."""
    lines, rounds = [], []
    with (
        fresh_stack(sandboxes=1, sandbox_threads=options.cores) as stack,
        plain.Workers() as workers,
    ):
        for qubits in options.size(QUBITS, QUICK_QUBITS):
            bare = partial(_bare, workers, qubits, options.cores)
            qjet = partial(_qjet, stack.http, qubits)
            bare(-1), qjet(-1)  # the first of a size finds no memory mapped
            found = alternate(options.rounds, bare=bare, qjet=qjet)
            lines += _lines(qubits, found)
            rounds += [{"qubits": qubits, **each} for each in found]
    return Found(lines=lines, rounds=rounds)


def _lines(qubits: int, rounds: list[Any]) -> list[Line]:
    bare = figures_of(rounds, "bare", "seconds")
    lines = []
    for name, what in (("simulate_s", "simulating alone"), ("seconds", "the whole task")):
        ours = figures_of(rounds, "qjet", name)
        figures = [one / other for one, other in zip(ours, bare, strict=True)]
        title = f"{qubits} qubits, {SHOTS:,} shots, {what}: time against bare Aer's"
        lines.append(Line(title=title, unit="×", figures=figures, target=MOST))
    return [*lines, Line(title="  bare Aer", unit="s", figures=bare)]


def _program(side: str, qubits: int, number: int) -> str:
    return layers(qubits, DEPTH, Random(f"{side} {qubits} {number}"))


def _bare(workers: plain.Workers, qubits: int, threads: int, number: int) -> Any:
    return {"seconds": workers.call(aer_s, _program("bare", qubits, number), threads)}


def _qjet(url: str, qubits: int, number: int) -> Any:
    task, seconds = run_one(url, {"qc": _program("qjet", qubits, number), "shots": SHOTS})
    return {
        "seconds": seconds,
        "simulate_s": task["timings"]["simulate"],
        "timings": task["timings"],
        "method": task["method"],
    }


def aer_s(source: str, threads: int) -> float:
    """Return the seconds of `run` and `get_counts` for a circuit already read."""
    circuit = qasm3.loads(source)
    simulator = AerSimulator(max_parallel_threads=threads)
    start = time.perf_counter()
    counts = simulator.run(circuit, shots=SHOTS).result().get_counts()
    seconds = time.perf_counter() - start
    if sum(counts.values()) != SHOTS:
        raise RuntimeError("counts do not sum to the shots")
    return seconds


ROWS = [Row(name="large", measure=measure)]
