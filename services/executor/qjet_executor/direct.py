"""Hands one plain circuit straight to Aer's core. Sandbox only.

`AerSimulator.run` starts a thread, walks the circuit four times and wraps what comes back in
classes: half a millisecond, more than a small circuit takes to simulate. Plain are circuits of
gates that the core knows by name, measurements, resets and barriers, without noise; the core gets
the very operations and options that `AerSimulator` would give it. See docs/adr/0018.

Sources: `qiskit_aer.backends.aer_compiler.assemble_circuit` and `_assemble_op`,
`AerBackend._execute_circuits_job`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from qiskit import QuantumCircuit
from qiskit.result.postprocess import format_counts_memory
from qiskit_aer import AerSimulator
from qiskit_aer.backends.aer_compiler import generate_aer_config
from qiskit_aer.backends.backend_utils import CircuitHeader, cpp_execute_circuits
from qiskit_aer.backends.controller_wrappers import AerCircuit, AerConfig, aer_controller_execute

_GATES: Final = frozenset(
    """ccx ccz cp crx cry crz cswap csx cu cu1 cu3 cx cy cz ecr h id p r rx rxx ry ryy rz rzx rzz s
    sdg swap sx sxdg t tdg u u1 u2 u3 x y z""".split()  # noqa: SIM905
)
_PLAIN: Final = _GATES | {"measure", "reset", "barrier"}
_LABEL: Final = "probabilities"
_ALWAYS: Final = -1
"""No register decides whether an operation happens."""


class Direct(NamedTuple):
    """What came of one circuit, as Aer's core tells it."""

    found: Mapping[str, Any]
    registers: Sequence[tuple[str, int]]
    clbits: int

    @property
    def counts(self) -> dict[str, int]:
        """Occurrences by outcome, as Qiskit prints them."""
        counts = self.found["data"].get("counts", {})
        return {self._spelled(outcome): number for outcome, number in counts.items()}

    @property
    def memory(self) -> list[str]:
        """Each shot's outcome, in order."""
        memory = self.found["data"]["memory"]
        spelled = {outcome: self._spelled(outcome) for outcome in set(memory)}
        return [spelled[outcome] for outcome in memory]

    @property
    def data(self) -> dict[str, Any]:
        """What was saved, by its label."""
        return dict(self.found["data"])

    @property
    def method(self) -> str:
        """The method that Aer took."""
        return str(self.found["metadata"].get("method", ""))

    def _spelled(self, outcome: str) -> str:
        header = {"creg_sizes": self.registers, "memory_slots": self.clbits}
        return str(format_counts_memory(outcome, header))


class Core:
    """Aer's core, with the options of a simulator without noise."""

    def __init__(self, aer: AerSimulator) -> None:
        """Take the simulator whose options hold where a run names no others."""
        self._controller = aer_controller_execute()
        self._settings = _settings(aer)

    def run(
        self, circuit: QuantumCircuit, *, saved: Sequence[int] = (), **options: Any
    ) -> Direct | None:
        """Run a circuit, or return None where only `AerSimulator.run` can, or can say why not.

        If qubits are to be `saved`, their probabilities are, as `probabilities`, and nothing is
        measured.
        """
        if not _is_plain(circuit):
            return None
        config = self._config(circuit, options)
        output = cpp_execute_circuits(self._controller, [_assembled(circuit, saved)], None, config)
        if not (isinstance(output, dict) and output["success"] and output["results"][0]["data"]):
            return None  # without data, it only says that it did well
        registers = [(register.name, register.size) for register in circuit.cregs]
        return Direct(output["results"][0], registers, circuit.num_clbits)

    def _config(self, circuit: QuantumCircuit, options: Mapping[str, Any]) -> AerConfig:
        """Return what `generate_aer_config` does, setting only what differs from its defaults."""
        config = AerConfig()
        config.n_qubits = circuit.num_qubits
        config.memory_slots = circuit.num_clbits
        for name, value in self._settings:
            setattr(config, name, value)
        for name, value in options.items():
            if value is not None:
                setattr(config, name, value)
        return config


def _settings(aer: AerSimulator) -> list[tuple[str, Any]]:
    """Return what the simulator's options set in a configuration of the core."""
    made, default = generate_aer_config([QuantumCircuit()], aer.options), AerConfig()
    names = [name for name in dir(default) if not name.startswith("_")]
    values = [(name, getattr(made, name)) for name in names]
    return [(name, value) for name, value in values if value != getattr(default, name)]


def _is_plain(circuit: QuantumCircuit) -> bool:
    has_open_ends = bool(circuit.parameters) or circuit.num_identifiers > 0
    return not has_open_ends and circuit.count_ops().keys() <= _PLAIN


def _assembled(circuit: QuantumCircuit, saved: Sequence[int]) -> AerCircuit:
    """Return the circuit in the form that the core takes."""
    made = AerCircuit()
    made.set_header(CircuitHeader())
    made.circ_id = 0
    made.num_qubits = circuit.num_qubits
    made.num_memory = circuit.num_clbits
    made.global_phase_angle = float(circuit.global_phase)
    places = {bit: place for place, bit in enumerate(circuit.qubits)}
    slots = {bit: slot for slot, bit in enumerate(circuit.clbits)}
    for instruction in circuit.data:
        name = instruction.name
        qubits = [places[bit] for bit in instruction.qubits]
        if name in _GATES:
            label = instruction.label or name
            made.gate(name, qubits, instruction.params, [], _ALWAYS, None, label)
        elif name == "reset":
            made.reset(qubits, _ALWAYS)
        elif name == "measure" and not saved:
            made.measure(qubits, [slots[bit] for bit in instruction.clbits], [])
    if saved:
        made.save_state(list(saved), "save_probabilities", "average", _LABEL)
    return made
