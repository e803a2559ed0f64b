"""Families of real circuits, written as people and tools write OpenQASM 3.

Each takes a source of chance, how many qubits and about how many gates, and writes a program:
angles, places and the style of writing are chance's. The reference importer reads all of them.
"""

import math
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from random import Random

Family = Callable[[Random, int, int], str]

_VERSIONS = ("OPENQASM 3;", "OPENQASM 3.0;", "// no version line", "OPENQASM 3.0;  // by hand")
_MEASURES = ("{c} = measure {q};", "measure {q} -> {c};")
_MAJORITY = (
    "gate majority a, b, c { cx c, b; cx c, a; ccx a, b, c; }\n"
    "gate unmaj a, b, c { ccx a, b, c; cx c, a; cx a, b; }\n"
)
_RZZ = "gate zz(theta) a, b {\n  cx a, b;\n  rz(theta) b;\n  cx a, b;\n}\n"
_MIXER = "gate mixer(beta) a { h a; rz(2*beta) a; h a; }\n"


def qft(chance: Random, qubits: int, gates: int) -> str:
    """Fourier transforms, one after the other, of a random product state."""
    return _written(chance, qubits, islice(_transforms(chance, qubits), gates))


def _transforms(chance: Random, qubits: int) -> Iterator[str]:
    while True:
        yield from (f"ry({_angle(chance)}) q[{i}];" for i in range(qubits))
        for target in reversed(range(qubits)):
            yield f"h q[{target}];"
            yield from (f"cp(pi/{1 << target - k}) q[{k}], q[{target}];" for k in range(target))
        yield from (f"swap q[{i}], q[{qubits - 1 - i}];" for i in range(qubits // 2))


def ghz(chance: Random, qubits: int, gates: int) -> str:
    """A GHZ state, and rotations of all its qubits by broadcast."""
    lines = ["h q[0];", *(f"cx q[{i}], q[{i + 1}];" for i in range(qubits - 1))]
    turns = max(1, (gates - qubits) // qubits)
    lines += [f"r{chance.choice('xyz')}({_angle(chance)}) q;" for _ in range(turns)]
    return _written(chance, qubits, iter(lines))


def trotter(chance: Random, qubits: int, gates: int) -> str:
    """Trotter steps of an Ising chain in a field, the coupling being a gate of its own."""
    step, field = _angle(chance), _angle(chance)
    lines = [f"h q[{i}];" for i in range(qubits)]
    for _ in range(max(1, gates // (4 * qubits))):
        lines += [f"zz({step}*0.5) q[{i}], q[{i + 1}];" for i in range(qubits - 1)]
        lines += [f"rx({field}) q[{i}];" for i in range(qubits)]
    return _written(chance, qubits, iter(lines), definitions=_RZZ)


def random_u(chance: Random, qubits: int, gates: int) -> str:
    """Random rotations and controlled NOTs between any two qubits."""
    lines = []
    for _ in range(gates // 2):
        a, b = chance.sample(range(qubits), 2)
        lines.append(f"U({_angle(chance)}, {_angle(chance)}, {_angle(chance)}) q[{a}];")
        lines.append(f"cx q[{a}], q[{b}];")
    return _written(chance, qubits, iter(lines))


def qaoa(chance: Random, qubits: int, gates: int) -> str:
    """QAOA for a random graph, cost and mixer being gates of its own."""
    edges = [(a, b) for b in range(qubits) for a in range(b) if chance.random() < 0.4] or [(0, 1)]
    lines = ["h q;"]
    for _ in range(max(1, gates // (3 * (len(edges) + qubits)))):
        gamma, beta = _angle(chance), _angle(chance)
        lines += [f"zz(2*{gamma}) q[{a}], q[{b}];" for a, b in edges]
        lines += [f"mixer({beta}) q[{i}];" for i in range(qubits)]
    return _written(chance, qubits, iter(lines), definitions=_RZZ + _MIXER)


def ansatz(chance: Random, qubits: int, gates: int) -> str:
    """A hardware-efficient ansatz: rotations by sums and fractions, a ring of controlled Z."""
    lines = []
    for _ in range(max(1, gates // (3 * qubits))):
        for i in range(qubits):
            lines.append(f"ry({_angle(chance)} + pi/{chance.randint(2, 9)}) q[{i}];")
            lines.append(f"rz(-({_angle(chance)})) q[{i}];")
        lines += [f"cz q[{i}], q[{(i + 1) % qubits}];" for i in range(qubits)]
    return _written(chance, qubits, iter(lines))


def hidden_shift(chance: Random, qubits: int, gates: int) -> str:
    """Hidden shifts of a bent function, one after the other: Clifford gates alone."""
    qubits += qubits % 2
    pairs = [(i, i + 1) for i in range(0, qubits, 2)]
    lines = []
    while len(lines) < gates - 3 * qubits:
        shift = [i for i in range(qubits) if chance.random() < 0.5]
        flips = [f"x q[{i}];" for i in shift]
        oracle = [f"cz q[{a}], q[{b}];" for a, b in pairs]
        wall = [f"h q[{i}];" for i in range(qubits)]
        lines += [*wall, *flips, *oracle, *flips, *wall, "barrier q;", *oracle, *wall]
    return _written(chance, qubits, iter(lines or ["h q;"]))


def adder(chance: Random, qubits: int, gates: int) -> str:
    """Ripple-carry sums of superposed numbers, by gates of its own."""
    qubits = max(4, qubits // 2 * 2)
    width = (qubits - 2) // 2
    places = [(0 if i == 0 else 2 * i, 2 * i + 1, 2 * i + 2) for i in range(width)]
    lines = [f"ry({_angle(chance)}) q[{i}];" for i in range(1, qubits - 1)]
    for _ in range(max(1, gates // (6 * width + 1))):
        lines += [f"majority q[{a}], q[{b}], q[{c}];" for a, b, c in places]
        lines.append(f"cx q[{2 * width}], q[{qubits - 1}];")
        lines += [f"unmaj q[{a}], q[{b}], q[{c}];" for a, b, c in reversed(places)]
    return _written(chance, qubits, iter(lines), definitions=_MAJORITY)


def grover(chance: Random, qubits: int, gates: int) -> str:
    """Searches with a marked state and a phase kickback by modifiers."""
    qubits = min(qubits, 6)
    marked = [i for i in range(qubits) if chance.random() < 0.5]
    controls = f"ctrl({qubits - 1}) @ " if qubits > 2 else "ctrl @ "
    phase = f"{controls}p(pi) {', '.join(f'q[{i}]' for i in range(qubits))};"
    flips = [f"x q[{i}];" for i in marked]
    lines = ["h q;", f"rz({_angle(chance)}) q[0];"]
    for _ in range(max(1, gates // (5 * qubits))):
        lines += [*flips, phase, *flips, "h q;", "x q;", phase, "x q;", "h q;"]
    return _written(chance, qubits, iter(lines))


def feedback(chance: Random, qubits: int, gates: int) -> str:
    """A few qubits that are measured, corrected and used again."""
    qubits, gates = min(qubits, 4), min(gates, 60)
    lines = []
    for i in islice(cycle(range(qubits)), gates // 4):
        lines += [f"ry({_angle(chance)}) q[{i}];", f"cx q[{i}], q[{(i + 1) % qubits}];"]
        lines.append(f"c[{i}] = measure q[{i}];")
        lines.append(f"if (c[{i}]) {{ x q[{i}]; }} else {{ sx q[{i}]; }}")
    return _written(chance, qubits, iter(lines))


FAMILIES: tuple[Family, ...] = (
    qft,
    ghz,
    trotter,
    random_u,
    qaoa,
    ansatz,
    hidden_shift,
    adder,
    grover,
    feedback,
)


def _angle(chance: Random) -> str:
    """Write an angle in one of the ways that people and tools do."""
    value = chance.uniform(0.01, math.pi)
    return chance.choice([repr(value), f"{value:.4f}", f"{chance.randint(1, 15)}*pi/16"])


def _written(chance: Random, qubits: int, gates: Iterator[str], *, definitions: str = "") -> str:
    """Write a program around its gates: head, declarations, layout, and how it measures."""
    head = f'{chance.choice(_VERSIONS)}\ninclude "stdgates.inc";\n{definitions}'
    declared = f"qubit[{qubits}] q;\nbit[{qubits}] c;\n"
    glue = chance.choice(["\n", "\n", " ", "\n  "])
    measure = chance.choice(_MEASURES)
    places = (
        [("q", "c")] if chance.random() < 0.5 else [(f"q[{i}]", f"c[{i}]") for i in range(qubits)]
    )
    measured = [measure.format(q=q, c=c) for q, c in places]
    return f"{head}{declared}{glue.join(gates)}\n{glue.join(measured)}\n"
