"""How far a program's text reaches, told before anything is built from it. Pure.

The importers build every declared bit and every nested gate before anyone can look at them: a
line of text can cost them gigabytes. What is refused here could not have been run; what is in
doubt passes, and the limits of the sandbox hold it.
"""

import re
from typing import Final

from qjet_executor import refusals
from qjet_executor.refusals import MIB
from qjet_shared.messages import TaskError

MOST_QUBITS: Final = 100_000
"""Declared qubits. A tableau of as many takes 300 GiB, and one gate on each minutes to read."""

_BIT_BYTES: Final = 512
"""At the least, for a declared bit or qubit; measured: 850."""

_OPERATION_BYTES: Final = 2048
"""At the least, for an operation on its way to Aer; measured: 1,900 written out, 4,500 in a loop,
9,000 to 15,000 in nested gates."""

_DEEPEST_QASM3: Final = 400
"""Brackets in brackets; measured: the importer gives up below 300, after minutes where there are
100,000."""

_DECLARATION: Final = re.compile(
    r"\b(?:(?P<new>qubit|bit)\s*\[\s*(?P<new_size>\w+)\s*\]"
    r"|(?P<old>qreg|creg)\s+\w+\s*\[\s*(?P<old_size>\w+)\s*\])"
)
_QUBIT_KEYWORDS: Final = ("qubit", "qreg")
_BRACKETS: Final = re.compile(r"[(\[{]|[)\]}]")
_NAME_OR_BODY: Final = re.compile(r"\bgate\s+(?P<name>\w+)|\{(?P<body>[^{}]*)")
_CALLED: Final = re.compile(r"\s*(?:\w+\s*(?:\([^()]*\)\s*)?@\s*)*(\w+)")
_LONGEST_SIZE: Final = 18
_COUNTLESS: Final = 1 << 70
"""Stands for any number of more digits than that."""


def most_operations(memory_mb: int) -> int:
    """Return how many operations could at the very most be held in `memory_mb` MiB."""
    return memory_mb * MIB // _OPERATION_BYTES


def refusal(code: str, version: int, *, memory_mb: int) -> TaskError | None:
    """Return why `code`, whose comments are blanked, cannot be read within `memory_mb` MiB."""
    qubits, bits = _declared(code)
    most_bits = memory_mb * MIB // _BIT_BYTES
    if qubits > min(MOST_QUBITS, most_bits):
        return refusals.too_many_declared(qubits, min(MOST_QUBITS, most_bits))
    if bits > most_bits:
        return refusals.too_many_bits(bits, most_bits)
    if version == 2:  # noqa: PLR2004  # whose parser takes any depth, and expands no gates
        return None
    if _depth(code) > _DEEPEST_QASM3:
        return refusals.too_deep()
    if _largest_gate(code) > most_operations(memory_mb):
        return refusals.expands_too_far(most_operations(memory_mb))
    return None


def _declared(code: str) -> tuple[int, int]:
    """Add up the declared qubits and classical bits whose number is written out."""
    qubits = bits = 0
    for found in _DECLARATION.finditer(code):
        size = _size(found["new_size"] or found["old_size"])
        if (found["new"] or found["old"]) in _QUBIT_KEYWORDS:
            qubits += size
        else:
            bits += size
    return qubits, bits


def _size(text: str) -> int:
    if text[0].isdigit() and len(text) > _LONGEST_SIZE:
        return _COUNTLESS
    try:
        return int(text, 0)
    except ValueError:
        return 0


def _depth(code: str) -> int:
    """Return how many brackets of any kind stand in one another at most."""
    depth = deepest = 0
    for found in _BRACKETS.finditer(code):
        depth += 1 if found[0] in "([{" else -1
        deepest = max(deepest, depth)
    return deepest


def _largest_gate(code: str) -> int:
    """Return how many operations the largest gate definition stands for."""
    sizes: dict[str, int] = {}
    name = ""
    for found in _NAME_OR_BODY.finditer(code):
        if name and not found["name"]:
            calls = (_CALLED.match(statement) for statement in found["body"].split(";"))
            sizes[name] = sum(sizes.get(call[1], 1) for call in calls if call)
        name = found["name"] or ""
    return max(sizes.values(), default=0)
