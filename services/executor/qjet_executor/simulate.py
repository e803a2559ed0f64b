"""Runs one job on Aer, in a sandbox.

What is costly to make is made once per process: a simulator per setup; circuits already read; and,
where counts may be drawn from it, a circuit's distribution.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil
from typing import Any, Final, NamedTuple, cast

import msgspec
import numpy as np
from qiskit import QuantumCircuit

from qjet_executor import refusals
from qjet_executor.circuits import read_circuit
from qjet_executor.diagnose import CircuitError, StateTooLargeError
from qjet_executor.direct import Direct
from qjet_executor.kept import Kept
from qjet_executor.names import measures
from qjet_executor.observables import Estimation
from qjet_executor.parameters import points_of
from qjet_executor.program import Program
from qjet_executor.protocol import DEFAULT_MAX_RESULT_MB, Device, Job, Outcome, Room
from qjet_executor.sampling import Distribution, Sampling, sampling_of
from qjet_executor.simulator import Experiment, Run, Setup, Simulator
from qjet_executor.stopwatch import Stopwatch
from qjet_executor.tableau import as_clifford
from qjet_shared.messages.submission import BELL_QASM, Method, Point

_JSON_STRING: Final = len('"",')
_SIMULATORS: Final = 16
_FOR_THE_IMPORTER: Final = "qubit q; bit c; for uint i in [0:1] { U(0, 0, i) q; } c = measure q;"
"""Its first use costs 30 ms."""

_MOST_KEPT_BYTES: Final = 64 * refusals.MIB
"""For circuits of earlier jobs; half of what a sandbox may keep at all (`confinement`)."""


class Counted(NamedTuple):
    """Counts at one point, as they came: each shot's outcome only where it was asked for."""

    counts: dict[str, int]
    memory: list[str]
    method: str


class Tally(NamedTuple):
    """What a job gave as JSON text, each part empty if there is none, and the method it took."""

    counts: bytes
    memory: bytes
    values: bytes
    method: str


class Simulators:
    """All simulators of this process."""

    def __init__(
        self,
        *,
        max_memory_mb: int,
        max_threads: int,
        max_result_mb: int = DEFAULT_MAX_RESULT_MB,
        device: Device = "CPU",
    ) -> None:
        """Take what a run may need at most, in MiB and threads, its result, and Aer's device."""
        self._room = self._largest = Room(
            memory_mb=max_memory_mb, most_mb=max_memory_mb, threads=max_threads
        )
        self._max_result_mb = max_result_mb
        self._rng = np.random.default_rng()
        self._watch = Stopwatch()
        self._simulator = lru_cache(_SIMULATORS)(lambda setup: Simulator(setup, device))
        self._programs: Kept[tuple[str, Setup, bool, bool], Program] = Kept(_MOST_KEPT_BYTES)

    def warm_up(self) -> None:
        """Run small circuits every way, so that everything is imported and made."""
        self._simulator(Setup(method="automatic")).warm_up()
        for source in (BELL_QASM, _FOR_THE_IMPORTER):
            for seed in (None, 0):
                job = Job(qc=source, shots=16, seed=seed, method="automatic", memory=False)
                outcome = self.run(job)
                if outcome.error:
                    raise RuntimeError(outcome.error.message)

    def forget(self) -> None:
        """Drop the circuits kept from earlier jobs."""
        self._programs.clear()

    def run(self, job: Job) -> Outcome:
        """Run `job` and say how it ended. Never raises for what a circuit can cause."""
        self._room = job.room or self._largest
        self._watch = Stopwatch()
        outcome = self._safely(job)
        return msgspec.structs.replace(outcome, phases=self._watch.phases)

    def _safely(self, job: Job) -> Outcome:
        try:
            return self._run(job)
        except StateTooLargeError as exc:
            may_have_it = self._room.memory_mb < exc.needed_mb <= self._room.most_mb
            return Outcome(error=exc.error, needs_mb=ceil(exc.needed_mb) if may_have_it else 0)
        except CircuitError as exc:
            return Outcome(error=exc.error)
        except MemoryError:
            return Outcome(error=refusals.out_of_memory(self._room.memory_mb))
        except RecursionError:
            return Outcome(error=refusals.too_deep())
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # noqa: BLE001  # whatever a circuit makes Qiskit or Aer raise; a panic of their Rust code is no `Exception`
            return Outcome(error=refusals.failed(exc, self._room.memory_mb))

    def _run(self, job: Job) -> Outcome:
        try:
            return self._run_by(job.method, job)
        except StateTooLargeError as exc:
            if job.fallback is None or exc.needed_mb <= self._room.most_mb:
                raise
            return self._run_by(job.fallback, job)

    def _run_by(self, method: Method, job: Job) -> Outcome:
        setup = Setup(
            method=method,
            noise_model=job.noise_model,
            precision=job.precision,
            method_options=job.method_options,
        )
        program = self._program(job, setup)
        with self._watch.phase("simulate"):
            points = points_of(program.circuit, job.parameters)
            self._check_memory_of_shots(program.circuit, job, len(points))
            tally = self._tally(program, job, setup, points)
        return Outcome(
            counts=tally.counts,
            memory=tally.memory,
            expectation_values=tally.values,
            method=tally.method,
        )

    def _tally(self, program: Program, job: Job, setup: Setup, points: Sequence[Point]) -> Tally:
        """Do all that was asked for, and write it down."""
        values, method = self._estimate(program, job, setup, points)
        if not program.measures:
            return Tally(b"", b"", values, method)
        counts, memory, method = self._count(program, job, setup, points)
        self._check_result(len(counts) + len(memory) + len(values), job)
        return Tally(counts, memory, values, method)

    def _estimate(
        self, program: Program, job: Job, setup: Setup, points: Sequence[Point]
    ) -> tuple[bytes, str]:
        """Return the expectation values at every point, if there are any, and the method."""
        if job.observables is None:
            return b"", ""
        estimation = Estimation(program.circuit, job.observables, setup.method)
        is_exact = estimation.has_one_state and setup.noise_model is None
        shots, seed = (1, None) if is_exact else (job.shots, job.seed)
        run = Run(shots=shots, seed=seed, room=self._room)
        values: list[bytes] = []
        methods: set[str] = set()
        for found in self._simulator(setup).run(estimation.circuit, points, run):
            with self._watch.phase("count"):
                values.append(msgspec.json.encode(estimation.read(found.data, job.shots)))
            methods.add(found.method)
        return _joined(values, job.parameters), _common(methods, job)

    def _count(
        self, program: Program, job: Job, setup: Setup, points: Sequence[Point]
    ) -> tuple[bytes, bytes, str]:
        """Return counts at every point, each shot's outcome if asked for, and the method."""
        sampling = program.sampling if job.seed is None else None
        is_drawn = sampling and sampling.suits(job.shots, self._room.memory_mb)
        count = self._draw if is_drawn else self._simulate
        counts: list[bytes] = []
        memory: list[bytes] = []
        methods: set[str] = set()
        size = 0
        for counted in count(program, job, setup, points):
            with self._watch.phase("count"):
                counts.append(msgspec.json.encode(counted.counts, order="sorted"))
                size += len(counts[-1])
                if job.memory:
                    memory.append(msgspec.json.encode(counted.memory))
                    size += len(memory[-1])
            methods.add(counted.method)
            self._check_result(size, job)
        return (
            _joined(counts, job.parameters),
            _joined(memory, job.parameters) if job.memory else b"",
            _common(methods, job),
        )

    def _check_memory_of_shots(self, circuit: QuantumCircuit, job: Job, points: int) -> None:
        """Refuse per-shot outcomes that would be too large; their size is known beforehand."""
        if job.memory:
            separators = max(0, len(circuit.cregs) - 1)
            size = circuit.num_clbits + separators + _JSON_STRING
            self._check_result(points * job.shots * size, job)

    def _check_result(self, size: int, job: Job) -> None:
        if size > self._max_result_mb * refusals.MIB:
            error = refusals.result_too_large(
                needed=size,
                limit_mb=self._max_result_mb,
                shots=job.shots,
                has_memory=job.memory,
            )
            raise CircuitError.of(error)

    def _draw(
        self, program: Program, job: Job, setup: Setup, points: Sequence[Point]
    ) -> Iterator[Counted]:
        """Draw counts from the circuit's distribution at each point."""
        for found in self._distributions(program, setup, points):
            with self._watch.phase("count"):
                memory = found.draw_each(job.shots, self._rng) if job.memory else []
                counts = Counter(memory) if job.memory else found.draw(job.shots, self._rng)
            yield Counted(counts, memory, found.method)

    def _distributions(
        self, program: Program, setup: Setup, points: Sequence[Point]
    ) -> Iterator[Distribution]:
        """Have Aer compute the distributions; that of a circuit without inputs only once."""
        if program.circuit.parameters:
            yield from self._computed(program, setup, points)
            return
        found = program.distribution or next(self._computed(program, setup, points[:1]))
        program.distribution = found if found.is_small else None
        yield from [found] * len(points)

    def _computed(
        self, program: Program, setup: Setup, points: Sequence[Point]
    ) -> Iterator[Distribution]:
        sampling = cast(Sampling, program.sampling)
        for found in self._simulator(setup).sample(sampling, points, self._room):
            yield sampling.distribution(found.data["probabilities"], found.method)

    def _simulate(
        self, program: Program, job: Job, setup: Setup, points: Sequence[Point]
    ) -> Iterator[Counted]:
        """Let Aer count."""
        run = Run(shots=job.shots, seed=job.seed, memory=job.memory, room=self._room)
        for experiment in self._simulator(setup).run(program.circuit, points, run):
            with self._watch.phase("count"):
                counted = _counted(experiment, job)
            yield counted

    def _program(self, job: Job, setup: Setup) -> Program:
        """Return the prepared circuit, from before if it is there."""
        may_be_unmeasured = job.observables is not None
        may_be_rewritten = job.seed is None

        def make() -> tuple[Program, int]:
            program = self._prepare(
                job.qc,
                setup,
                may_be_unmeasured=may_be_unmeasured,
                may_be_rewritten=may_be_rewritten,
            )
            return program, len(job.qc) + program.size_bytes

        return self._programs.get((job.qc, setup, may_be_unmeasured, may_be_rewritten), make)

    def _prepare(
        self, source: str, setup: Setup, *, may_be_unmeasured: bool, may_be_rewritten: bool
    ) -> Program:
        with self._watch.phase("parse"):
            circuit = read_circuit(
                source, memory_mb=self._room.memory_mb, may_be_unmeasured=may_be_unmeasured
            )
        with self._watch.phase("transpile"):
            prepared = self._simulator(setup).prepare(circuit)
            if may_be_rewritten and setup.method == "automatic" and not setup.noise_model:
                prepared = as_clifford(prepared) or prepared
            sampling = None if setup.noise_model else sampling_of(prepared, setup.method)
        return Program(circuit=prepared, sampling=sampling, measures=measures(prepared))


def _joined(parts: list[bytes], parameters: Any) -> bytes:
    """Return the one part there is, or the parts of a sweep as a JSON list."""
    is_sweep = parameters is not None and not isinstance(parameters, dict)
    return b"[" + b",".join(parts) + b"]" if is_sweep else parts[0]


def _common(methods: set[str], job: Job) -> str:
    """Return the method that all points took; as submitted, where they differ."""
    return methods.pop() if len(methods) == 1 else job.method


def _counted(experiment: Direct | Experiment, job: Job) -> Counted:
    memory = experiment.memory if job.memory else []
    return Counted(experiment.counts, memory, experiment.method)
