"""Aer, set up in one way: brings circuits to its gates and runs them. Sandbox only.

What is costly to make is made once per setup: a simulator, the names of the gates it knows and the
pass manager that brings others to them.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

from msgspec import Struct
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer import AerSimulator

from qjet_executor.diagnose import CircuitError, from_aer, from_transpiler
from qjet_executor.direct import Core, Direct
from qjet_executor.methods import fitting
from qjet_executor.names import names
from qjet_executor.noise import noise_model_of
from qjet_executor.parameters import as_binds, bound, can_take_binds
from qjet_executor.protocol import Device, Room
from qjet_executor.sampling import Sampling
from qjet_shared.messages.submission import Method, Point
from qjet_shared.noise import NoiseModel
from qjet_shared.options import MethodOptions, Precision

_BROKEN_JUMP: Final = "Invalid jump destination"
_TOO_LITTLE_FOR_SHOTS: Final = "requires more memory than max_memory_mb"
_GPU_METHODS: Final = frozenset({"automatic", "statevector", "density_matrix"})
"""Source: `qiskit_aer.AerSimulator`, "GPU Simulation"; the others run on the CPU all the same."""

_MOST_POINTS_AT_ONCE: Final = 256


class Setup(Struct, frozen=True, kw_only=True):
    """How Aer is set up for a job."""

    method: Method
    noise_model: NoiseModel | None = None
    precision: Precision = "double"
    method_options: MethodOptions | None = None


class Run(Struct, frozen=True, kw_only=True):
    """How often to run a circuit, within what, and what to keep of it."""

    shots: int
    room: Room
    seed: int | None = None
    memory: bool = False


class Experiment(NamedTuple):
    """What came of one circuit at one point: an entry of an Aer result."""

    result: Any
    number: int

    @property
    def counts(self) -> dict[str, int]:
        """Occurrences by outcome, as Qiskit prints them."""
        return dict(self.result.get_counts(self.number))

    @property
    def memory(self) -> list[str]:
        """Each shot's outcome, in order."""
        return list(self.result.get_memory(self.number))

    @property
    def data(self) -> dict[str, Any]:
        """What the circuit's save instructions saved, by their labels."""
        return dict(self.result.data(self.number))

    @property
    def method(self) -> str:
        """The method that Aer took."""
        return str(self.result.results[self.number].metadata.get("method", ""))


class Simulator:
    """Aer in one setup, and what it takes to prepare circuits for it."""

    def __init__(self, setup: Setup, device: Device = "CPU") -> None:
        self._setup = setup
        self.aer = AerSimulator(
            method=setup.method,
            noise_model=noise_model_of(setup.noise_model),
            device=device if setup.method in _GPU_METHODS else "CPU",
            precision=setup.precision,
            **(setup.method_options.given if setup.method_options else {}),
        )

        self._core = Core(self.aer)

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
        """Return `circuit` in gates that this setup knows; itself, where it already is.

        Raises:
            CircuitError: there is no way to bring it to them.
        """
        if names(circuit) <= self._known_gates:
            return circuit
        try:
            return self._pass_manager.run(circuit)
        except QiskitError as exc:
            raise from_transpiler(exc, self._setup.method) from exc

    def run(
        self, circuit: QuantumCircuit, points: Sequence[Point], run: Run, *, at_once: int = 0
    ) -> Iterator[Experiment | Direct]:
        """Run the circuit at each point, in order, `at_once` of them at a time (256 at most).

        With a seed they run one by one: Aer shifts the seed from circuit to circuit in a run.

        Raises:
            CircuitError: Aer cannot run it, or a point makes an angle that is no finite number.
        """
        if run.seed is not None or len(points) == 1:
            for point in points:
                yield self._one(bound(circuit, point), run)
            return
        step = min(at_once or _MOST_POINTS_AT_ONCE, _MOST_POINTS_AT_ONCE)
        for start in range(0, len(points), step):
            part = points[start : start + step]
            result = self._result_of_many(circuit, part, run)
            for number in range(len(part)):
                yield Experiment(result, number)

    def sample(
        self, sampling: Sampling, points: Sequence[Point], room: Room
    ) -> Iterator[Experiment | Direct]:
        """Compute the probabilities of a circuit's outcomes at each point, as `run` does."""
        run = Run(shots=1, room=room)
        if len(points) == 1:
            circuit = bound(sampling.original, points[0])
            if found := self._directly(circuit, run, saved=sampling.qubits):
                yield found
                return
        yield from self.run(sampling.circuit, points, run, at_once=sampling.at_once)

    def _one(self, circuit: QuantumCircuit, run: Run) -> Experiment | Direct:
        return self._directly(circuit, run) or Experiment(self._result(circuit, run), 0)

    def _directly(
        self, circuit: QuantumCircuit, run: Run, *, saved: Sequence[int] = ()
    ) -> Direct | None:
        """Run a plain circuit without noise, or return None: only those take the short way."""
        if self._setup.noise_model:
            return None
        return self._core.run(circuit, saved=saved, **_options(run))

    def _result_of_many(self, circuit: QuantumCircuit, points: Sequence[Point], run: Run) -> Any:
        if not can_take_binds(circuit):
            return self._result([bound(circuit, point) for point in points], run)
        try:
            return self._result(circuit, run, parameter_binds=as_binds(circuit, points))
        except (ArithmeticError, ValueError):
            for point in points:
                bound(circuit, point)  # says which
            raise

    def _result(self, circuits: Any, run: Run, **more: Any) -> Any:
        """Run Aer. Its job says DONE and its counts may be empty when it failed, so look twice."""
        options = {**_options(run), **more}
        result = self.aer.run(circuits, **options).result()
        if _lacks_room_for_threads(result):
            options["max_parallel_shots"] = 1
            result = self.aer.run(circuits, **options).result()
        if _BROKEN_JUMP in _status(result):  # Aer cuts unused qubits, and with them the jump's end
            result = self.aer.run(circuits, enable_truncation=False, **options).result()
        if not result.success:
            circuit = circuits[0] if isinstance(circuits, list) else circuits
            raise self._failure(circuit, result, run.room)
        return result

    def _failure(self, circuit: QuantumCircuit, result: Any, room: Room) -> CircuitError:
        """Diagnose a failed run; Aer says which method it took, and how many qubits matter."""
        known = result.results[0].metadata if result.results else {}
        method = known.get("method", self._setup.method)
        qubits = known.get("num_qubits", circuit.num_qubits)
        others = fitting(circuit, method, qubits=qubits, limit_mb=room.most_mb)
        return from_aer(_status(result), method, qubits=qubits, room=room, fitting=others)


def why_not_on(device: Device) -> str:
    """Return why this machine's Aer cannot compute on `device`; empty if it can."""
    if device in AerSimulator().available_devices():
        return ""
    return f"This build of Aer finds no {device}; qiskit-aer-gpu and its driver are needed for one."


def _options(run: Run) -> dict[str, Any]:
    """Return the options of a run by Aer's names."""
    return {
        "shots": run.shots,
        "seed_simulator": run.seed,
        "memory": run.memory,
        "max_memory_mb": run.room.memory_mb,
        "max_parallel_threads": run.room.threads,
    }


def _status(result: Any) -> str:
    """Return what a failed run says of its first failed experiment, or of itself."""
    failed = [r.status for r in result.results if not r.success]
    return str(failed[0] if failed else result.status)


def _lacks_room_for_threads(result: Any) -> bool:
    """Whether Aer would not have a state for each thread that simulates shots of its own.

    It then says so, without figures, or gives no counts at all and calls that a success.
    """
    if not result.success:
        return _TOO_LITTLE_FOR_SHOTS in _status(result)
    return not all(experiment.data.to_dict() for experiment in result.results)
