"""Runs one job on Aer, in a sandbox.

What is costly to make is made once per process: a simulator, the names of the gates it knows and
the pass manager that brings others to them, per method; circuits already read; and, where counts
may be drawn from it, a circuit's distribution.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, cast

import msgspec
import numpy as np
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer import AerSimulator

from qjet_executor import refusals
from qjet_executor.circuits import read_circuit
from qjet_executor.diagnose import CircuitError, from_aer, from_transpiler
from qjet_executor.methods import fitting
from qjet_executor.protocol import DEFAULT_MAX_RESULT_MB, Job, Outcome, Phases
from qjet_executor.sampling import Distribution, Sampling, sampling_of
from qjet_shared.messages import BELL_QASM, Method, TaskError

_JSON_STRING: Final = len('"",')
_BROKEN_JUMP: Final = "Invalid jump destination"
_CACHED_CIRCUITS: Final = 256
_LARGEST_CACHED_SOURCE: Final = 16_384
"""Characters; a cached circuit is some 100 times its source, so the cache stays below 400 MiB."""


class Simulator:
    """Aer with one method, and what it takes to prepare circuits for it."""

    def __init__(self, method: Method, *, max_memory_mb: int, max_threads: int) -> None:
        self.aer = AerSimulator(
            method=method, max_memory_mb=max_memory_mb, max_parallel_threads=max_threads
        )
        self._method = method

    @cached_property
    def _known_gates(self) -> frozenset[str]:
        return frozenset(self.aer.target.operation_names) | {"barrier"}

    @cached_property
    def _pass_manager(self) -> Any:
        return generate_preset_pass_manager(optimization_level=0, backend=self.aer)

    def warm_up(self) -> None:
        """Make what the first circuit would otherwise wait for."""
        _ = self._known_gates, self._pass_manager

    def prepare(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Return `circuit` in gates that this method knows; itself, where it already is.

        Raises:
            CircuitError: there is no way to bring it to them.
        """
        if _gate_names(circuit) <= self._known_gates:
            return circuit
        try:
            return self._pass_manager.run(circuit)
        except QiskitError as exc:
            raise from_transpiler(exc, self._method) from exc


@dataclass(kw_only=True)
class Program:
    """A circuit ready to run, and what is known of it. `phases` says what preparing it cost."""

    circuit: QuantumCircuit
    phases: Phases
    sampling: Sampling | None
    distribution: Distribution | None = None


class Simulators:
    """All methods' simulators of this process."""

    def __init__(
        self,
        *,
        max_memory_mb: int,
        max_threads: int,
        max_result_mb: int = DEFAULT_MAX_RESULT_MB,
    ) -> None:
        """Take how much memory a run and a result may need, in MiB, and Aer's threads."""
        self._limits = {"max_memory_mb": max_memory_mb, "max_threads": max_threads}
        self._max_memory_mb = max_memory_mb
        self._max_result_mb = max_result_mb
        self._by_method: dict[Method, Simulator] = {}
        self._rng = np.random.default_rng()
        self._prepared_before = lru_cache(_CACHED_CIRCUITS)(self._prepare)

    def warm_up(self) -> None:
        """Run one small circuit, so that everything is imported and made."""
        self._of("automatic").warm_up()
        job = Job(qc=BELL_QASM, shots=16, seed=None, method="automatic", memory=False)
        outcome = self.run(job)
        if outcome.error:
            raise RuntimeError(outcome.error.message)

    def forget(self) -> None:
        """Drop the circuits kept from earlier jobs."""
        self._prepared_before.cache_clear()

    def run(self, job: Job) -> Outcome:
        """Run `job` and say how it ended. Never raises for what a circuit can cause."""
        try:
            return self._run(job)
        except CircuitError as exc:
            return Outcome(error=exc.error)
        except MemoryError:
            return Outcome(error=refusals.out_of_memory(self._max_memory_mb))
        except RecursionError:
            return Outcome(error=refusals.too_deep())
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # noqa: BLE001  # whatever a circuit makes Qiskit or Aer raise; a panic of their Rust code is no `Exception`
            reason = str(exc).strip('"') or type(exc).__name__
            return Outcome(error=TaskError(code="simulation_failed", message=reason[:400]))

    def _run(self, job: Job) -> Outcome:
        program, was_cached = self._program(job)
        self._check_memory_of_shots(program.circuit, job)
        is_plain = job.seed is None and not job.memory
        run = self._draw if is_plain and program.sampling else self._simulate
        (counts, memory, method), simulate_s = _timed(lambda: run(program, job))
        encoded = msgspec.json.encode(counts, order="sorted")
        self._check_result(len(encoded) + len(memory), job)
        phases = Phases() if was_cached else program.phases
        return Outcome(
            counts=encoded,
            memory=memory,
            method=method or job.method,
            phases=Phases(parse=phases.parse, transpile=phases.transpile, simulate=simulate_s),
        )

    def _check_memory_of_shots(self, circuit: QuantumCircuit, job: Job) -> None:
        """Refuse per-shot outcomes that would be too large; their size is known beforehand."""
        if job.memory:
            separators = max(0, len(circuit.cregs) - 1)
            self._check_result(job.shots * (circuit.num_clbits + separators + _JSON_STRING), job)

    def _check_result(self, size: int, job: Job) -> None:
        if size > self._max_result_mb * refusals.MIB:
            error = refusals.result_too_large(
                needed=size,
                limit_mb=self._max_result_mb,
                shots=job.shots,
                has_memory=job.memory,
            )
            raise CircuitError.of(error)

    def _draw(self, program: Program, job: Job) -> tuple[dict[str, int], bytes, str]:
        """Draw counts from the circuit's distribution, which Aer computes the first time."""
        if program.distribution is None and program.sampling is not None:
            result = self._aer(program.sampling.circuit, job, shots=1)
            program.distribution = program.sampling.distribution(result)
        found = cast(Distribution, program.distribution)
        return found.draw(job.shots, self._rng), b"", found.method

    def _simulate(self, program: Program, job: Job) -> tuple[dict[str, int], bytes, str]:
        """Let Aer count."""
        result = self._aer(program.circuit, job, shots=job.shots)
        memory = msgspec.json.encode(result.get_memory()) if job.memory else b""
        return dict(result.get_counts()), memory, result.results[0].metadata.get("method", "")

    def _aer(self, circuit: QuantumCircuit, job: Job, *, shots: int) -> Any:
        """Run Aer. Its job says DONE and its counts may be empty when it failed, so look twice."""
        aer = self._of(job.method).aer
        options = {"shots": shots, "seed_simulator": job.seed, "memory": job.memory}
        result = aer.run(circuit, **options).result()
        if _BROKEN_JUMP in _status(result):  # Aer cuts unused qubits, and with them the jump's end
            result = aer.run(circuit, enable_truncation=False, **options).result()
        if not result.success:
            raise self._failure(circuit, result, job.method)
        return result

    def _failure(self, circuit: QuantumCircuit, result: Any, method: str) -> CircuitError:
        """Diagnose a failed run; Aer says which method it took, and how many qubits matter."""
        known = result.results[0].metadata if result.results else {}
        method = known.get("method", method)
        qubits = known.get("num_qubits", circuit.num_qubits)
        limit_mb = self._max_memory_mb
        others = fitting(circuit, method, qubits=qubits, limit_mb=limit_mb)
        status = _status(result)
        return from_aer(status, method, qubits=qubits, limit_mb=limit_mb, fitting=others)

    def _program(self, job: Job) -> tuple[Program, bool]:
        """Return the prepared circuit, and whether it was prepared before."""
        if len(job.qc) > _LARGEST_CACHED_SOURCE:
            return self._prepare(job.qc, job.method), False
        hits = self._prepared_before.cache_info().hits
        program = self._prepared_before(job.qc, job.method)
        return program, self._prepared_before.cache_info().hits > hits

    def _prepare(self, source: str, method: Method) -> Program:
        circuit, parse_s = _timed(lambda: read_circuit(source, memory_mb=self._max_memory_mb))
        prepared, transpile_s = _timed(lambda: self._of(method).prepare(circuit))
        phases = Phases(parse=parse_s, transpile=transpile_s)
        return Program(circuit=prepared, phases=phases, sampling=sampling_of(prepared, method))

    def _of(self, method: Method) -> Simulator:
        if method not in self._by_method:
            self._by_method[method] = Simulator(method, **self._limits)
        return self._by_method[method]


def _status(result: Any) -> str:
    """Return what a failed run says of its one experiment, or of itself."""
    failed = [r.status for r in result.results if not r.success]
    return str(failed[0] if failed else result.status)


def _gate_names(circuit: QuantumCircuit) -> set[str]:
    """Collect the names of all instructions, also those inside control flow."""
    names = set()
    for instruction in circuit.data:
        names.add(instruction.operation.name)
        for block in getattr(instruction.operation, "blocks", ()):
            names |= _gate_names(block)
    return names


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `work` returns, and the seconds it took."""
    start = time.perf_counter()
    value = work()
    return value, time.perf_counter() - start
