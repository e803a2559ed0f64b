"""Circuits that are larger than they look. Nobody writes them; everybody can submit them."""

START_3 = 'OPENQASM 3; include "stdgates.inc";'
START_2 = 'OPENQASM 2.0; include "qelib1.inc";'
ONE_3 = START_3 + " qubit[1] q; bit[1] c; "
ONE_2 = START_2 + " qreg q[1]; creg c[1]; "
END_3 = " c = measure q;"
END_2 = " measure q -> c;"


def in_parentheses(depth: int, *, version: int) -> str:
    """Put an angle into as many parentheses."""
    angle = "(" * depth + "1" + ")" * depth
    start, end = (ONE_3, END_3) if version == 3 else (ONE_2, END_2)
    return f"{start} rx({angle}) q[0]; {end}"


def doubling_gates(levels: int, *, version: int) -> str:
    """Define gates that each call the one before twice, and call the last."""
    gates = ["gate g0 a { x a; x a; }"]
    gates += [f"gate g{i} a {{ g{i - 1} a; g{i - 1} a; }}" for i in range(1, levels)]
    start, end = (ONE_3, END_3) if version == 3 else (ONE_2, END_2)
    return f"{start} {' '.join(gates)} g{levels - 1} q[0]; {end}"


def chained_gates(levels: int) -> str:
    """Define gates that each call the one before once, and call the last."""
    gates = ["gate g0 a { x a; }"]
    gates += [f"gate g{i} a {{ g{i - 1} a; }}" for i in range(1, levels)]
    return f"{ONE_2} {' '.join(gates)} g{levels - 1} q[0]; {END_2}"


def loop(rounds: int) -> str:
    """Go round a loop as often."""
    return f"{ONE_3} for uint i in [1:{rounds}] {{ x q[0]; }} {END_3}"


def in_blocks(depth: int) -> str:
    """Put a gate into as many `if` blocks."""
    return f"{ONE_3} {END_3} {'if (c == 1) { ' * depth} x q[0]; {'}' * depth} {END_3}"


def dense(qubits: int) -> str:
    """Entangle all qubits by gates that are not Clifford."""
    chain = " ".join(f"cx q[{i}], q[{i + 1}];" for i in range(qubits - 1))
    return f"{START_3} qubit[{qubits}] q; bit[{qubits}] c; h q; t q; {chain} h q; {END_3}"


def clifford(qubits: int) -> str:
    """Entangle all qubits by Clifford gates."""
    return dense(qubits).replace(" t q;", "")


def wide_counts(bits: int) -> str:
    """Give twenty coins a register of as many bits: each outcome is a long string."""
    measured = " ".join(f"measure q[{i}] -> c[{bits - 1 - i}];" for i in range(20))
    return f"{START_2} qreg q[20]; creg c[{bits}]; h q; {measured}"


def long_source(gates: int, *, padding: int) -> str:
    """Write as many gates, each with a comment of `padding` characters."""
    lines = (f"cx q[{i % 10}], q[{(i + 1) % 10}]; // {'x' * padding}" for i in range(gates))
    text = "\n".join(lines)
    return f"{START_2} qreg q[10]; creg c[10];\n{text}\n{END_2}"
