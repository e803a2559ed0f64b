"""The baseline: what users do without qjet, in warm processes of its own.

Each process makes its simulator once, then reads every program with `qasm3.loads`, runs it and gets
its counts. A circuit with gates that Aer does not know goes through a pass manager made once, not
through `transpile`, which would make one each time.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from itertools import islice
from types import TracebackType
from typing import Any, Self

from qiskit import QuantumCircuit, qasm3
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer import AerSimulator

from qjet_shared import lifeline
from qjet_shared.messages.submission import BELL_QASM
from tests.bench.circuits import sources

SHOTS = 1024
_threads: int | None = None


class Workers:
    """Warm processes that call functions of importable modules, each one call at a time."""

    def __init__(self, count: int = 1, *, threads: int | None = None) -> None:
        """Start `count` of them and wait until Aer has run once in each.

        Without `threads`, Aer takes as many as there are cores, in each process.
        """
        context = multiprocessing.get_context("spawn")  # after a fork, Aer hangs
        self._pools = [ProcessPoolExecutor(1, context, warm_up, (threads,)) for _ in range(count)]
        self.call_each(_nothing, [()] * count)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them."""
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the first process."""
        return self.call_each(function, [arguments])[0]

    def call_each(self, function: Callable[..., Any], arguments: Iterable[Any]) -> list[Any]:
        """Call a function in as many processes as there are lists of arguments, side by side."""
        calls: list[Future[Any]] = [
            pool.submit(function, *one) for pool, one in zip(self._pools, arguments, strict=False)
        ]
        return [call.result() for call in calls]


def warm_up(threads: int | None) -> None:
    """Make the simulator, and run Bell once."""
    global _threads  # noqa: PLW0603  # of a process that lives for this
    _threads = threads
    lifeline.die_with_parent(os.getppid())
    run_once(BELL_QASM)


def loop(kind: str, seed: str, count: int | None, seconds: float) -> float:
    """Read and run circuits of `kind` for so many seconds or so many of them; return the rate."""
    start, done = time.perf_counter(), 0
    for source in islice(sources(kind, seed), count):
        counts = run_once(source)
        if sum(counts.values()) != SHOTS:
            raise RuntimeError(f"counts do not sum to the shots: {counts}")
        done += 1
        if time.perf_counter() - start > seconds:
            break
    return done / (time.perf_counter() - start)


def run_once(source: str) -> dict[str, int]:
    """Read a program, run it and return its counts."""
    circuit = fitted(qasm3.loads(source))
    return dict(simulator().run(circuit, shots=SHOTS).result().get_counts())


def fitted(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return the circuit in gates that Aer knows; itself, where it already is."""
    known, pass_manager = _target()
    return circuit if circuit.count_ops().keys() <= known else pass_manager.run(circuit)


@cache
def simulator() -> AerSimulator:
    """Return the process's one simulator, with Aer's own settings but for its threads."""
    return AerSimulator(max_parallel_threads=_threads)


@cache
def _target() -> tuple[set[str], Any]:
    known = {*simulator().target.operation_names, "barrier"}
    return known, generate_preset_pass_manager(optimization_level=0, backend=simulator())


def _nothing() -> None:
    pass
