"""Evaluates constant expressions with the types and rules of the reference importer.

An integer divides to an integer, as in OpenQASM; an angle is a gate's parameter, which may be
multiplied and divided by numbers but not be added to integers.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from qiskit.circuit import ParameterExpression

from qjet_executor.qasm3.tokens import NotFast, Tokens

Value: TypeAlias = int | float | ParameterExpression

CONSTANTS: Final[Mapping[str, Value]] = {
    "pi": math.pi,
    "π": math.pi,
    "tau": math.tau,
    "τ": math.tau,
    "euler": math.e,
    "ℇ": math.e,
}
_DEEPEST: Final = 40
_DIGITS: Final = frozenset(".0123456789")
_BASES: Final = {"0x": 16, "0X": 16, "0b": 2, "0B": 2, "0o": 8}
_NUMBERS: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def expression(tokens: Tokens, values: Mapping[str, Value], depth: int = 0) -> Value:
    """Read `term (("+" | "-") term)*`; names stand for `values`."""
    value = _term(tokens, values, depth)
    while (sign := tokens.next) in {"+", "-"}:
        tokens.take()
        value = _combine(sign, value, _term(tokens, values, depth))
    return value


def integer(tokens: Tokens, values: Mapping[str, Value]) -> int:
    """Read an expression whose value is an integer."""
    value = expression(tokens, values)
    if not isinstance(value, int):
        raise NotFast
    return value


def number(tokens: Tokens, values: Mapping[str, Value]) -> int | float:
    """Read an expression whose value depends on no parameter."""
    value = expression(tokens, values)
    if isinstance(value, ParameterExpression):
        raise NotFast
    return value


def arguments(tokens: Tokens, values: Mapping[str, Value]) -> tuple[Value, ...]:
    """Read `"(" (expression ("," expression)*)? ")"`, or nothing. All numbers are finite."""
    if not tokens.accept("("):
        return ()
    if tokens.accept(")"):
        return ()
    found = [argument(tokens, values)]
    while tokens.accept(","):
        found.append(argument(tokens, values))
    tokens.expect(")")
    return tuple(found)


def argument(tokens: Tokens, values: Mapping[str, Value]) -> Value:
    """Read an expression whose value is finite, as far as it is known.

    Raises:
        CircuitError: it is not.
    """
    at = tokens.at
    value = expression(tokens, values)
    if isinstance(value, float) and not math.isfinite(value):
        raise tokens.error("This angle is no finite number.", at=at, code="qasm_unsupported")
    return value


def finite(value: Value) -> Value:
    """Return `value`, unless it is infinite or not a number."""
    if isinstance(value, float) and not math.isfinite(value):
        raise NotFast
    return value


def _term(tokens: Tokens, values: Mapping[str, Value], depth: int) -> Value:
    """Read `factor (("*" | "/") factor)*`."""
    value = _factor(tokens, values, depth)
    while (sign := tokens.next) in {"*", "/"}:
        tokens.take()
        value = _combine(sign, value, _factor(tokens, values, depth))
    return value


def _factor(tokens: Tokens, values: Mapping[str, Value], depth: int) -> Value:
    """Read `"-" factor | "(" expression ")" | name | literal`."""
    text = tokens.take()
    if text in values:
        return values[text]
    if text[:1] in _DIGITS:
        return _literal(text)
    if depth == _DEEPEST:
        raise NotFast
    if text == "-":
        return -_factor(tokens, values, depth + 1)
    if text != "(":
        raise NotFast
    value = expression(tokens, values, depth + 1)
    tokens.expect(")")
    return value


def _literal(text: str) -> int | float:
    if text[:2] in _BASES:
        return int(text, _BASES[text[:2]])
    return int(text) if text.replace("_", "").isdecimal() else float(text)


def _combine(sign: str, left: Value, right: Value) -> Value:
    if isinstance(left, ParameterExpression) or isinstance(right, ParameterExpression):
        _check_angles(sign, left, right)
    elif sign == "/" and isinstance(left, int) and isinstance(right, int):
        return left // right
    return _NUMBERS[sign](left, right)


def _check_angles(sign: str, left: Value, right: Value) -> None:
    """Refuse what the reference importer has no type for."""
    are_angles = isinstance(left, ParameterExpression), isinstance(right, ParameterExpression)
    if sign in {"+", "-"}:
        is_fine = not isinstance(left, int) and not isinstance(right, int)
    elif sign == "*":
        is_fine = not all(are_angles)
    else:
        is_fine = not are_angles[1]
    if not is_fine:
        raise NotFast
