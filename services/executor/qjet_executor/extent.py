"""How far a program's text reaches, told before anything is built from it. Pure.

The importers build every declared bit and every nested gate before anyone can look at them: a
line of text can cost them gigabytes. What is refused here could not have been run; what is in
doubt passes, and the limits of the sandbox hold it.
"""

import re
from typing import Final

from qjet_executor import refusals
from qjet_executor.refusals import MIB
from qjet_shared import outline
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

_BRACKETS: Final = re.compile(r"[(\[{]|[)\]}]")


def most_operations(memory_mb: int) -> int:
    """Return how many operations could at the very most be held in `memory_mb` MiB."""
    return memory_mb * MIB // _OPERATION_BYTES


def refusal(code: str, version: int, *, memory_mb: int) -> TaskError | None:
    """Return why `code`, whose comments are blanked, cannot be read within `memory_mb` MiB."""
    qubits = sum(filter(None, outline.declared(code, outline.QUBITS)))
    bits = sum(filter(None, outline.declared(code, outline.BITS)))
    most_bits = memory_mb * MIB // _BIT_BYTES
    if qubits > min(MOST_QUBITS, most_bits):
        return refusals.too_many_declared(qubits, min(MOST_QUBITS, most_bits))
    if bits > most_bits:
        return refusals.too_many_bits(bits, most_bits)
    if version == 2:  # noqa: PLR2004  # whose parser takes any depth, and expands no gates
        return None
    if _depth(code) > _DEEPEST_QASM3:
        return refusals.too_deep()
    if max(outline.gate_sizes(code).values(), default=0) > most_operations(memory_mb):
        return refusals.expands_too_far(most_operations(memory_mb))
    return None


def _depth(code: str) -> int:
    """Return how many brackets of any kind stand in one another at most."""
    depth = deepest = 0
    for found in _BRACKETS.finditer(code):
        depth += 1 if found[0] in "([{" else -1
        deepest = max(deepest, depth)
    return deepest
