"""The programs that are measured, by kind. Texts only: writing them takes nothing of Qiskit."""

import math
from collections.abc import Iterator
from itertools import count, repeat
from random import Random

from qjet_shared.messages.submission import BELL_QASM
from tests.bench.families import FAMILIES

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
MIX_SIZE = 40
"""Programs after which a mix repeats its shapes, with other angles."""


def sources(kind: str, seed: str) -> Iterator[str]:
    """Write programs of a kind without end; the same seed gives the same ones."""
    if kind == "bell":
        return repeat(BELL_QASM)
    if kind == "angles":
        return _two_qubits(Random(seed))
    return mix(seed, most_gates=150 if kind == "small mix" else 2000)


def _two_qubits(chance: Random) -> Iterator[str]:
    """Write two-qubit circuits, each with other angles."""
    while True:
        a, b, c = (chance.uniform(-math.pi, math.pi) for _ in range(3))
        yield (
            f"{HEAD}qubit[2] q;\nbit[2] c;\nry({a}) q[0];\ncx q[0], q[1];\nrz({b}) q[1];\n"
            f"ry({c}) q[1];\nc = measure q;\n"
        )


def mix(seed: str, *, most_gates: int) -> Iterator[str]:
    """Write programs of all families in turn, 2 to 16 qubits, 20 to `most_gates` gates.

    Family, qubits and gates follow from a program's number alone, so that every seed costs the
    same; its angles, places and style of writing from the seed too.
    """
    for number in count():
        place = number % MIX_SIZE
        shape = Random(place)
        gates = round(math.exp(shape.uniform(math.log(20), math.log(most_gates))))
        family = FAMILIES[place % len(FAMILIES)]
        yield family(Random(f"{seed} {number}"), shape.randint(2, 16), gates)


def qft(qubits: int, chance: Random) -> str:
    """Write a quantum Fourier transform of a product state: 160 gates at 16 qubits."""
    lines = [f"rx({chance.uniform(0, math.pi)}) q[{i}];" for i in range(qubits)]
    for target in reversed(range(qubits)):
        lines.append(f"h q[{target}];")
        lines += [f"cp(pi/{1 << target - k}) q[{k}], q[{target}];" for k in range(target)]
    lines += [f"swap q[{i}], q[{qubits - 1 - i}];" for i in range(qubits // 2)]
    return _program(qubits, lines)


def layers(qubits: int, depth: int, chance: Random) -> str:
    """Write layers of rotations and chains of controlled NOTs."""
    lines = []
    for _ in range(depth):
        lines += [f"ry({chance.uniform(0, math.pi)}) q[{i}];" for i in range(qubits)]
        lines += [f"cx q[{i}], q[{i + 1}];" for i in range(qubits - 1)]
    return _program(qubits, lines)


def flat(qubits: int, gates: int, chance: Random) -> str:
    """Write many gates of one and two qubits, one a line."""
    lines = []
    for _ in range(gates):
        a, b = chance.sample(range(qubits), 2)
        angle = chance.uniform(-math.pi, math.pi)
        lines.append(
            chance.choice(
                [
                    f"rz({angle}) q[{a}];",
                    f"h q[{a}];",
                    f"U({angle}, pi/{a + 1}, -pi/4) q[{a}];",
                    f"cx q[{a}], q[{b}];",
                    f"cp({angle}) q[{a}], q[{b}];",
                ]
            )
        )
    return _program(qubits, lines)


def swept(qubits: int, values: tuple[str, ...], declaration: str, salt: float) -> str:
    """Write a circuit of eight gates a qubit whose angles come from `values`, by turns."""
    lines = [f"rz({salt}) q[0];"]
    for _ in range(2):
        for i in range(qubits):
            value = values[i % len(values)]
            lines += [f"ry({value}) q[{i}];", f"rz({value}) q[{i}];", f"h q[{i}];"]
        lines += [f"cx q[{i}], q[{(i + 1) % qubits}];" for i in range(qubits)]
    return _program(qubits, lines, declaration)


def _program(qubits: int, lines: list[str], declaration: str = "") -> str:
    body = "\n".join(lines)
    declared = f"{declaration}qubit[{qubits}] q;\nbit[{qubits}] c;\n"
    return f"{HEAD}{declared}{body}\nc = measure q;\n"
