"""How far a program may reach, and how far its text does, told before anything is built. Pure.

The importers build every declared bit and every nested gate before anyone can look at them: a
line of text can cost them gigabytes. What is refused here could not have been run; what is in
doubt passes, and the limits of the sandbox hold it. The fast reader needs no look at the text: it
counts before it builds.
"""

import re
from typing import Final, NamedTuple

from qjet_executor import refusals
from qjet_executor.refusals import MIB
from qjet_shared import outline
from qjet_shared.messages.task import TaskError

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


class Limits(NamedTuple):
    """How much a program may declare and expand to."""

    qubits: int
    bits: int
    operations: int

    def refusal(self, *, qubits: int, bits: int) -> TaskError | None:
        """Return why so many declared qubits and classical bits are too many, if they are."""
        if qubits > self.qubits:
            return refusals.too_many_declared(qubits, self.qubits)
        if bits > self.bits:
            return refusals.too_many_bits(bits, self.bits)
        return None


def limits(memory_mb: int) -> Limits:
    """Return what could at the very most be held in `memory_mb` MiB."""
    size = memory_mb * MIB
    bits = size // _BIT_BYTES
    return Limits(qubits=min(MOST_QUBITS, bits), bits=bits, operations=size // _OPERATION_BYTES)


def refusal(code: str, version: int, most: Limits) -> TaskError | None:
    """Return why an importer cannot read `code`, whose comments are blanked, within limits."""
    qubits = sum(filter(None, outline.declared(code, outline.QUBITS)))
    bits = sum(filter(None, outline.declared(code, outline.BITS)))
    if error := most.refusal(qubits=qubits, bits=bits):
        return error
    if version == 2:  # noqa: PLR2004  # whose parser takes any depth, and expands no gates
        return None
    if _depth(code) > _DEEPEST_QASM3:
        return refusals.too_deep()
    if max(outline.gate_sizes(code).values(), default=0) > most.operations:
        return refusals.expands_too_far(most.operations)
    return None


def _depth(code: str) -> int:
    """Return how many brackets of any kind stand in one another at most."""
    depth = deepest = 0
    for found in _BRACKETS.finditer(code):
        depth += 1 if found[0] in "([{" else -1
        deepest = max(deepest, depth)
    return deepest
