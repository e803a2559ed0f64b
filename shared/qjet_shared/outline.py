"""What a program's text tells at a glance: declared sizes, and what its gates multiply to. Pure.

Nothing is parsed. Every look is linear in the text, whatever stands in it: patterns begin with the
word they look for and never go back.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

COUNTLESS: Final = 1 << 70
"""Stands for any size that is written with more digits than a machine counts to."""

QUBITS: Final = ("qubit", "qreg")
BITS: Final = ("bit", "creg")

_NEW_SIZE: Final = re.compile(r"\s*+\[\s*+(\w++)|\s++\w")
_OLD_SIZE: Final = re.compile(r"\s++\w++\s*+\[\s*+(\w++)")
_SIZE_AFTER: Final = {
    "qubit": _NEW_SIZE,
    "qreg": _OLD_SIZE,
    "bit": _NEW_SIZE,
    "creg": _OLD_SIZE,
}
_CALL: Final = re.compile(r"\s*+(?:\w++\s*+(?:\([^()]*+\)\s*+)?@\s*+)*(\w++)")
_LONGEST_SIZE: Final = 18


class Definition(NamedTuple):
    """A gate definition: where it starts and ends in the text, its name and its body."""

    start: int
    end: int
    name: str
    body: str


def declared(code: str, words: tuple[str, ...]) -> list[int | None]:
    """List the sizes that are declared with any of `words`; None where one is no number.

    Texts are searched for the plain word: a pattern that begins with a boundary is much slower.
    """
    sizes: list[int | None] = []
    for word in words:
        end = 0
        while (start := code.find(word, end)) >= 0:
            end = start + len(word)
            before = code[start - 1] if start else " "
            found = _SIZE_AFTER[word].match(code, end)
            if found and not (before == "_" or before.isalnum()):
                sizes.append(_size(found[1] or "1"))
    return sizes


def definitions(code: str) -> Iterator[Definition]:
    """Yield each gate definition."""
    end = 0
    while (start := code.find("gate", end)) >= 0:
        opening = code.find("{", start)
        closing = code.find("}", opening)
        if opening < 0 or closing < 0:
            return
        words = code[start:opening].split("(", 1)[0].split()
        name = words[1] if len(words) > 1 and words[0] == "gate" else ""
        end = closing + 1
        yield Definition(start, end, name, code[opening + 1 : closing])


def gate_sizes(code: str) -> dict[str, int]:
    """Return how many operations each defined gate stands for, with gates in gates multiplied."""
    sizes: dict[str, int] = {}
    for definition in definitions(code):
        sizes[definition.name] = operations(definition.body, sizes)
    return sizes


def operations(statements: str, sizes: dict[str, int]) -> int:
    """Count statements, each call of a gate in `sizes` as what it stands for."""
    calls = (_CALL.match(statement) for statement in statements.split(";"))
    return sum(sizes.get(call[1], 1) for call in calls if call)


def _size(text: str) -> int | None:
    if text[0].isdigit() and len(text) > _LONGEST_SIZE:
        return COUNTLESS
    try:
        return int(text, 0)
    except ValueError:
        return None
