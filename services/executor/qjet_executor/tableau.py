"""Finds Clifford circuits behind gates that Aer's `automatic` takes no tableau for. Sandbox only.

Aer knows rz by multiples of π/2, but not rx, ry, p, u, rzz and the like, by the same angles: twenty
such qubits get a state vector, forty are refused. Here they are taken apart into gates that its
stabilizer method has. A global phase may be lost on the way, which no outcome depends on.

Source: the definitions in `qiskit.circuit.library.standard_gates`.
"""

import math
from collections.abc import Callable, Iterator
from typing import Final

from qiskit import QuantumCircuit
from qiskit.circuit import CONTROL_FLOW_OP_NAMES, CircuitInstruction

from qjet_executor.methods import is_gate_of, runs

_QUARTER: Final = math.pi / 2
_CLOSE_ENOUGH: Final = 1e-9

Step = tuple[str, tuple[int, ...], float]
"""A gate by name, on which of the operation's qubits, and by which angle: 0 for those with none."""

_NAMES: Final = ("", "s", "z", "sdg")
"""What rz is by none to three quarter turns."""

_H: Final = {qubit: ("h", (qubit,), 0.0) for qubit in (0, 1)}
_CX: Final = ("cx", (0, 1), 0.0)


def _rz(angle: float, qubit: int = 0) -> list[Step]:
    return [("rz", (qubit,), angle)]


def _rx(angle: float, qubit: int = 0) -> list[Step]:
    return [_H[qubit], *_rz(angle, qubit), _H[qubit]]


def _ry(angle: float, qubit: int = 0) -> list[Step]:
    return [*_rz(-_QUARTER, qubit), *_rx(angle, qubit), *_rz(_QUARTER, qubit)]


def _u(theta: float, phi: float, lam: float) -> list[Step]:
    return [*_rz(lam), *_ry(theta), *_rz(phi)]


def _r(theta: float, phi: float) -> list[Step]:
    return [*_rz(-phi), *_rx(theta), *_rz(phi)]


def _rzz(angle: float) -> list[Step]:
    return [_CX, *_rz(angle, 1), _CX]


def _rzx(angle: float) -> list[Step]:
    return [_H[1], *_rzz(angle), _H[1]]


def _rxx(angle: float) -> list[Step]:
    return [_H[0], *_rzx(angle), _H[0]]


def _ryy(angle: float) -> list[Step]:
    into, back = ([step for q in (0, 1) for step in _rz(turn, q)] for turn in (-_QUARTER, _QUARTER))
    return [*into, *_rxx(angle), *back]


def _crz(angle: float) -> list[Step]:
    return [*_rz(angle / 2, 1), _CX, *_rz(-angle / 2, 1), _CX]


def _crx(angle: float) -> list[Step]:
    return [_H[1], *_crz(angle), _H[1]]


def _cry(angle: float) -> list[Step]:
    return [*_rz(-_QUARTER, 1), *_crx(angle), *_rz(_QUARTER, 1)]


def _cp(angle: float) -> list[Step]:
    return [*_rz(angle / 2), *_crz(angle)]


_STEPS: Final[dict[str, Callable[..., list[Step]]]] = {
    "rz": _rz,
    "p": _rz,
    "u1": _rz,
    "rx": _rx,
    "ry": _ry,
    "r": _r,
    "u": _u,
    "u3": _u,
    "u2": lambda phi, lam: _u(_QUARTER, phi, lam),
    "rzz": _rzz,
    "rzx": _rzx,
    "rxx": _rxx,
    "ryy": _ryy,
    "crz": _crz,
    "crx": _crx,
    "cry": _cry,
    "cp": _cp,
    "cu1": _cp,
}


def as_clifford(circuit: QuantumCircuit) -> QuantumCircuit | None:
    """Return the circuit in gates of the stabilizer method, or None if it is no Clifford circuit.

    Gates inside control flow are taken as they are.
    """
    if circuit.parameters:
        return None
    clifford = circuit.copy_empty_like()
    for instruction in circuit.data:
        if is_gate_of("stabilizer", instruction) or _stays(instruction):
            clifford._append(instruction)  # noqa: SLF001  # as it stands: append makes a new one
            continue
        qubits, steps = instruction.qubits, _steps(instruction)
        if steps is None:
            return None
        for name, places in steps:
            getattr(clifford, name)(*(qubits[place] for place in places))
    return clifford


def _stays(instruction: CircuitInstruction) -> bool:
    if instruction.name in CONTROL_FLOW_OP_NAMES:
        return all(runs(block, "stabilizer") for block in instruction.operation.blocks)
    return instruction.name in ("measure", "reset", "barrier", "delay")


def _steps(instruction: CircuitInstruction) -> list[tuple[str, tuple[int, ...]]] | None:
    """Return gates without angles that do what this one does, or None if there are none."""
    steps_of = _STEPS.get(instruction.name)
    if steps_of is None or getattr(instruction.operation, "ctrl_state", 1) != 1:
        return None
    try:
        return list(_without_angles(steps_of(*map(float, instruction.params))))
    except ValueError:
        return None


def _without_angles(steps: list[Step]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, places, angle in steps:
        if name != "rz":
            yield name, places
        elif turn := _NAMES[_quarters(angle)]:
            yield turn, places


def _quarters(angle: float) -> int:
    """Return how many quarter turns an angle is, from none to three.

    Raises:
        ValueError: it is no multiple of one.
    """
    turns = angle / _QUARTER
    if abs(turns - round(turns)) > _CLOSE_ENOUGH:
        raise ValueError(angle)
    return round(turns) % 4
