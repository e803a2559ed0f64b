"""Reads gate calls, and the definitions of gates, which consist of them."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from qiskit.circuit import Barrier, Parameter

from qjet_executor.qasm3.expressions import Value, argument, arguments, integer, number
from qjet_executor.qasm3.gates import (
    Arguments,
    Call,
    Definition,
    Fixed,
    GateLike,
    Modifier,
    modified,
)
from qjet_executor.qasm3.scope import Places, Scope
from qjet_executor.qasm3.tokens import NotFast, Tokens, is_name

T = TypeVar("T")

_DECIMAL: Final = re.compile(r"[ ]*-?[0-9]{1,20}\.[0-9]{1,20}(?:[eE][+-]?[0-9]{1,2})?[ ]*")
"""The usual argument, which is finite."""

_ONE_OF: Final = re.compile(r"[ ]*([A-Za-z_]\w*)\[([0-9]{1,9})\][ ]*", re.ASCII)
"""The usual qubit."""


def read_call(tokens: Tokens, scope: Scope) -> tuple[GateLike, Arguments, Places]:
    """Read `(modifier "@")* name arguments? qubits ";"`: a gate, its arguments and its places.

    Raises:
        CircuitError: there is no such gate, or it takes other arguments or qubits.
    """
    start = tokens.at
    modifiers, controls = _modifiers(tokens, scope) if tokens.next in _MODIFIERS else ([], 0)
    at = tokens.at
    if found := tokens.plain_call():
        name = found[1]
        gate = scope.gates.get(name)
        if gate is None:
            raise _unknown(name, tokens, scope)
        values, places = _plain_arguments(found, tokens, scope), _plain_places(found, tokens, scope)
        tokens.move(found.end())
    else:
        name = tokens.name()
        gate = scope.gates[name]
        values = arguments(tokens, scope.values)
        places = _broadcast(scope.pick_qubits(tokens))
        tokens.expect(";")
    if len(values) != gate.num_parameters:
        counts = len(values), gate.num_parameters
        raise tokens.error(f"Gate '{name}': {_wrong('parameters', *counts)}", at=at)
    if len(places[0]) != gate.num_qubits + controls:
        counts = len(places[0]), gate.num_qubits + controls
        raise tokens.error(f"Gate '{name}': {_wrong('qubits', *counts)}", at=at)
    if modifiers:
        text = tokens.text(start, found.start(3) if found else tokens.at)
        known = scope.modified_by_text
        gate, values, _ = known.get(text) or known.setdefault(
            text, modified(gate, values, modifiers)
        )
    return gate, values, places


def _wrong(what: str, found: int, wanted: int) -> str:
    return f"wrong number of {what}, {found} instead of {wanted}."


def _unknown(name: str, tokens: Tokens, scope: Scope) -> Exception:
    if not is_name(name) or scope.knows(name):
        return NotFast()
    return tokens.error(f"gate '{name}' is not defined.", at=tokens.at)


def _plain_arguments(found: re.Match[str], tokens: Tokens, scope: Scope) -> Arguments:
    if found[2] is None:
        return ()
    return tuple(_elements(found, 2, scope.values_by_text, partial(_argument, tokens, scope)))


def _plain_places(found: re.Match[str], tokens: Tokens, scope: Scope) -> Places:
    places = scope.places_by_text.get(found[3])
    if places is None:
        picked = _elements(found, 3, scope.qubits_by_text, partial(_qubit, tokens, scope))
        places = scope.places_by_text[found[3]] = _broadcast(picked)
    return places


def _elements(
    found: re.Match[str], group: int, known: dict[str, T], read: Callable[[int, str], T]
) -> list[T]:
    """Return what the elements of a list in a plain call mean; read only those not known yet."""
    elements = []
    at = found.start(group)
    for text in found[group].split(","):
        if text not in known:
            known[text] = read(at, text)
        elements.append(known[text])
        at += len(text) + 1
    return elements


def _argument(tokens: Tokens, scope: Scope, at: int, text: str) -> Value:
    if _DECIMAL.fullmatch(text):
        return float(text)
    tokens.move(at)
    value = argument(tokens, scope.values)
    if tokens.at < at + len(text):
        raise NotFast
    return value


def _qubit(tokens: Tokens, scope: Scope, at: int, text: str) -> Any:
    if (found := _ONE_OF.fullmatch(text)) and isinstance(scope.qubits.get(found[1]), list):
        register, index = scope.qubits[found[1]], int(found[2])
        if index < len(register):
            return register[index]
    tokens.move(at)
    return scope.pick(tokens, scope.qubits)


def read_definition(tokens: Tokens, scope: Scope) -> Definition:
    """Read `name ("(" names? ")")? names "{" statement* "}"` of a gate.

    Raises:
        CircuitError: as `read_call`.
    """
    name = scope.new_name(tokens)
    body = scope.body()
    if tokens.accept("(") and not tokens.accept(")"):
        for formal in _formals(tokens, body):
            body.values[formal] = Parameter(formal)
        tokens.expect(")")
    parameters = tuple(value for value in body.values.values() if isinstance(value, Parameter))
    for formal in _formals(tokens, body):
        body.qubits[formal] = len(body.qubits)
    tokens.expect("{")
    definition = Definition(name, parameters, len(body.qubits))
    while not tokens.accept("}"):
        _body_statement(tokens, body, definition)
    return definition


def _formals(tokens: Tokens, body: Scope) -> Iterable[str]:
    yield body.new_formal(tokens)
    while tokens.accept(","):
        yield body.new_formal(tokens)


def _body_statement(tokens: Tokens, body: Scope, definition: Definition) -> None:
    """Read a gate call, a `barrier` or a `gphase`."""
    if tokens.accept("gphase"):
        (phase,) = arguments(tokens, body.values)
        definition.phases.append(phase)
        tokens.expect(";")
    elif tokens.accept("barrier"):
        positions = tuple(dict.fromkeys(body.pick_qubits(tokens)))
        definition.calls.append(Call(Fixed(Barrier(len(positions)), len(positions)), (), positions))
        tokens.expect(";")
    else:
        gate, values, places = read_call(tokens, body)
        definition.calls += [Call(gate, values, place) for place in places]


def _broadcast(picked: list[Any]) -> Places:
    """Pair up sequences bit by bit; single bits stay the same."""
    lengths = {len(bits) for bits in picked if isinstance(bits, list)}
    if len(lengths) > 1:
        raise NotFast
    places = [tuple(picked)]
    for length in lengths:
        rows = [bits if isinstance(bits, list) else [bits] * length for bits in picked]
        places = list(zip(*rows, strict=True))
    if len(picked) > 1 and any(len(set(place)) < len(place) for place in places):
        raise NotFast
    return places


def _modifiers(tokens: Tokens, scope: Scope) -> tuple[list[Modifier], int]:
    """Read modifiers, and return them with the number of qubits they add."""
    modifiers, controls = [], 0
    while rule := _MODIFIERS.get(tokens.next):
        tokens.take()
        modifier, added = rule(tokens, scope)
        tokens.expect("@")
        modifiers.append(modifier)
        controls += added
    return modifiers, controls


_Modified: TypeAlias = tuple[Modifier, int]


def _inv(tokens: Tokens, scope: Scope) -> _Modified:  # noqa: ARG001
    return lambda gate: gate.inverse(), 0


def _pow(tokens: Tokens, scope: Scope) -> _Modified:
    tokens.expect("(")
    exponent = number(tokens, scope.values)
    tokens.expect(")")
    return lambda gate: gate.power(exponent), 0


def _ctrl(tokens: Tokens, scope: Scope) -> _Modified:
    count = _count(tokens, scope)
    return lambda gate: gate.control(count, ctrl_state=(1 << count) - 1), count


def _negctrl(tokens: Tokens, scope: Scope) -> _Modified:
    count = _count(tokens, scope)
    return lambda gate: gate.control(count, ctrl_state=0), count


def _count(tokens: Tokens, scope: Scope) -> int:
    if not tokens.accept("("):
        return 1
    count = integer(tokens, scope.values)
    tokens.expect(")")
    if count < 1:
        raise NotFast
    return count


_MODIFIERS: Final[dict[str, Callable[[Tokens, Scope], _Modified]]] = {
    "inv": _inv,
    "pow": _pow,
    "ctrl": _ctrl,
    "negctrl": _negctrl,
}
