"""Writes OpenQASM 3 programs by chance, out of the plain language that the fast reader reads."""

import re
from random import Random

from qjet_executor.qasm3.gates import STDGATES

START = (
    'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
    "qubit[3] q;\nqubit[2] r;\nqubit a;\nbit[3] c;\nbit d;\nbit[1] e;\n"
)
GATES = {name: (gate.num_parameters, gate.num_qubits) for name, gate in STDGATES.items()}
GATES["U"] = (3, 1)
NUMBERS = [
    *("0", "1", "2", "3", "7", "10", "0x1f", "0b1_01", "0o17", "0.1", "0.3", "0.5", "1.25"),
    *("1e-3", ".1", "2.", "1_000.5", "3.14e+0_0", "pi", "π", "tau", "τ", "euler", "ℇ"),
]
FORMALS = ["a", "b", "theta", "phi", "lam", "θ", "t1", "t", "p"]
FORMAL_QUBITS = ["x1", "x2", "x", "x4"]
SINGLE_QUBITS = ["q[0]", "q[1]", "q[2]", "r[0]", "r[1]", "a"]
QUBITS = [*SINGLE_QUBITS, "q", "q", "r", "q[0:1]", "q[{2, 0}]", "q[-3:1]", "q[0:2:2]", "r[:]"]
BITS = ["c[0]", "c[1]", "c[2]", "d", "e[0]", "c[-1]"]
CONTROLS = {
    "inv @ ": 0,
    "pow(2) @ ": 0,
    "pow(0.5) @ ": 0,
    "pow(-1) @ ": 0,
    "ctrl @ ": 1,
    "negctrl @ ": 1,
    "ctrl(2) @ ": 2,
    "negctrl(1+1) @ ": 2,
}
SPACES = [" ", " ", " ", "\n", "  ", "\t", " /* b */ ", " // a\n", "\r\n"]
SLIPS = [
    *(";", "(", ")", "[", "]", "{", "}", "0", "@", ",", ":", "é", "//", "/*", "*/", '"', "**"),
    *("++", "->", "==", "=", "ns", "im", "_", ".", "$0", "-", "gate", "let", "const", "end"),
]


def program(chance: Random) -> str:
    """Write a program: some definitions, some statements, and a measurement of all."""
    gates, lines = dict(GATES), [START]
    for name in chance.sample(["g", "w", "rzz", "G1"], chance.randint(0, 3)):
        text, shape = _definition(chance, gates, name)
        lines.append(text)
        gates[name] = shape
    own = {name: shape for name, shape in gates.items() if name not in GATES} or gates
    lines += [_statement(chance, chance.choice([gates, own])) for _ in range(chance.randint(0, 8))]
    return chance.choice(SPACES).join([*lines, "c = measure q;"])


def slip(chance: Random) -> str:
    """Write a program, and leave out, double or replace a word or character of it."""
    words = re.findall(r"\w+|\s+|.", program(chance))
    at = chance.randrange(len(words))
    kinds = [["", words[at] * 2], SLIPS, words]
    words[at] = chance.choice(chance.choice(kinds))
    return "".join(words)


def _expression(chance: Random, names: list[str], depth: int = 3) -> str:
    if depth == 0 or chance.random() < 0.5:
        return chance.choice(names) if names and chance.random() < 0.7 else chance.choice(NUMBERS)
    inner = _expression(chance, names, depth - 1)
    if chance.random() < 0.4:
        return chance.choice(["-{}", "({})"]).format(inner)
    sign = chance.choice("+-*/")
    other = [] if sign in "*/" else names
    return f"{inner} {sign} {_expression(chance, other, depth - 1)}"


def _call(
    chance: Random, gates: dict[str, tuple[int, int]], qubits: list[str], names: list[str]
) -> str:
    """Apply a gate, perhaps a modified one, with as many arguments and qubits as it takes."""
    name = chance.choice(sorted(gates))
    num_parameters, num_qubits = gates[name]
    modifiers = chance.choices(sorted(CONTROLS), k=chance.choice([0, 0, 0, 0, 0, 0, 1, 1, 2]))
    while num_qubits + sum(CONTROLS[modifier] for modifier in modifiers) > len(qubits):
        modifiers.pop()
    num_qubits += sum(CONTROLS[modifier] for modifier in modifiers)
    arguments = ", ".join(_expression(chance, names) for _ in range(num_parameters))
    places = ", ".join(chance.sample(qubits, num_qubits))
    return f"{''.join(modifiers)}{name}{f'({arguments})' if arguments else ''} {places};"


def _definition(
    chance: Random, gates: dict[str, tuple[int, int]], name: str
) -> tuple[str, tuple[int, int]]:
    """Define a gate out of `gates`, with parameters in any order."""
    names = chance.sample(FORMALS, chance.randint(0, 3))
    qubits = chance.sample(FORMAL_QUBITS, chance.randint(1, 4))
    fitting = {
        known: shape
        for known, shape in gates.items()
        if shape[1] <= len(qubits) and known not in names and known not in qubits
    }
    body = []
    for _ in range(chance.randint(0, 4)):
        other = [f"gphase({_expression(chance, names)});", f"barrier {chance.choice(qubits)};"]
        is_call = chance.random() < 0.7
        body.append(_call(chance, fitting, qubits, names) if is_call else chance.choice(other))
    listed = f"({', '.join(names)})" if names else ""
    text = f"gate {name}{listed} {', '.join(qubits)} {{ {' '.join(body)} }}"
    return text, (len(names), len(qubits))


def _statement(chance: Random, gates: dict[str, tuple[int, int]], depth: int = 0) -> str:
    """Do anything that a statement of the plain language can."""
    kind = chance.random()
    if kind < 0.1 and depth < 3:
        return _branch(chance, gates, depth)
    if kind < 0.7:
        return _call(chance, gates, chance.choice([SINGLE_QUBITS, SINGLE_QUBITS, QUBITS]), [])
    listed = ", ".join(chance.sample(QUBITS, chance.randint(1, 3)))
    return chance.choice(
        [
            f"{chance.choice(BITS)} = measure {chance.choice(SINGLE_QUBITS)};",
            f"measure {chance.choice(SINGLE_QUBITS)} -> {chance.choice(BITS)};",
            chance.choice(["c = measure q;", "measure q -> c;", "c[0:1] = measure r;"]),
            f"reset {chance.choice(QUBITS)};",
            f"barrier {listed};",
            f"gphase({_expression(chance, [])});",
        ]
    )


def _branch(chance: Random, gates: dict[str, tuple[int, int]], depth: int) -> str:
    bit = chance.choice(BITS)
    conditions = [
        f"c == {chance.choice(['0', '1', '7', '2 * 3', '0b11'])}",
        f"{chance.choice(['', '!', '~'])}{bit}",
        f"{bit} {chance.choice(['==', '!='])} {chance.choice(['true', 'false'])}",
    ]
    blocks = [_block(chance, gates, depth) for _ in range(2)]
    forms = ["if ({}) {}", "if ({}) {} else {}", "while ({}) {}"]
    return chance.choice(forms).format(chance.choice(conditions), *blocks)


def _block(chance: Random, gates: dict[str, tuple[int, int]], depth: int) -> str:
    if chance.random() < 0.2:
        return _statement(chance, gates, depth + 1)
    statements = [_statement(chance, gates, depth + 1) for _ in range(chance.randint(0, 3))]
    return f"{{ {' '.join(statements)} }}"
