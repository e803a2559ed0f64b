"""Gives numbers to a circuit's inputs: `input float theta;`. Sandbox only.

A circuit is read once and run with as many sets of numbers as are asked for.
"""

from collections.abc import Sequence
from typing import Any, Final

from qiskit import QuantumCircuit
from qiskit.circuit import ControlledGate

from qjet_executor.diagnose import CircuitError
from qjet_shared.messages.submission import Point

_FIELD: Final = "parameters"
_LONGEST_LIST: Final = 200


def points_of(
    circuit: QuantumCircuit, parameters: Point | Sequence[Point] | None
) -> tuple[Point, ...]:
    """Return the points at which to run the circuit: one, or those of a sweep, at least one.

    Raises:
        CircuitError: an input has no number, or a number has no input.
    """
    inputs = {parameter.name for parameter in circuit.parameters}
    if parameters is None or isinstance(parameters, dict):
        point = parameters or {}
        _check(point, inputs, _FIELD)
        return (point,)
    for number, point in enumerate(parameters):
        _check(point, inputs, f"{_FIELD}[{number}]")
    return tuple(parameters)


def bound(circuit: QuantumCircuit, point: Point) -> QuantumCircuit:
    """Return the circuit with the numbers of `point` in the place of its inputs.

    Raises:
        CircuitError: an angle that is worked out from them is no finite number.
    """
    if not point:
        return circuit
    try:
        return circuit.assign_parameters(point)
    except (ArithmeticError, ValueError) as exc:
        values = ", ".join(f"{name} = {value:g}" for name, value in sorted(point.items()))
        raise CircuitError(
            "invalid_option", f"{_FIELD}: with {values}, an angle is no finite number."
        ) from exc


def can_take_binds(circuit: QuantumCircuit) -> bool:
    """Whether Aer heeds all of the circuit's inputs given as `parameter_binds`.

    In controlled gates it does not: they keep their angles in the gate that they control, where
    Aer 0.18 does not look (`AerBackend._convert_circuit_binds`, `Instruction.is_parameterized`).
    """
    return bool(circuit.parameters) and not _has_controlled_input(circuit)


def _has_controlled_input(circuit: QuantumCircuit) -> bool:
    return any(
        (instruction.is_parameterized() and isinstance(instruction.operation, ControlledGate))
        or any(map(_has_controlled_input, getattr(instruction.operation, "blocks", ())))
        for instruction in circuit.data
    )


def as_binds(circuit: QuantumCircuit, points: Sequence[Point]) -> list[dict[Any, list[float]]]:
    """Return points as Aer's `parameter_binds` for one circuit: one column for each input."""
    return [{p: [point[p.name] for point in points] for p in circuit.parameters}]


def _check(point: Point, inputs: set[str], where: str) -> None:
    if missing := sorted(inputs - point.keys()):
        text = f"{where}.{missing[0]}: the circuit declares this input, and it has no value."
        raise CircuitError("invalid_option", text, hint=_hint(inputs))
    if unknown := sorted(point.keys() - inputs):
        text = f"{where}.{unknown[0]}: the circuit declares no input of this name."
        raise CircuitError("invalid_option", text, hint=_hint(inputs))


def _hint(inputs: set[str]) -> str:
    if not inputs:
        return "It declares none; in OpenQASM 3 that is `input float theta;`."
    return f"It declares: {', '.join(sorted(inputs))[:_LONGEST_LIST]}."
