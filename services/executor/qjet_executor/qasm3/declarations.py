"""Reads declarations of qubits and bits, as the reference importer makes them.

Without a size a name stands for a bit outside registers. Qiskit's registers once had to have names
that OpenQASM 2 knows; the importer still sees to that.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, QuantumRegister, Qubit

from qjet_executor.qasm3.expressions import integer
from qjet_executor.qasm3.scope import Scope
from qjet_executor.qasm3.tokens import NotFast, Tokens

_MOST_BITS: Final = 1_000_000
_PLAIN_NAME: Final = re.compile(r"[a-z]\w*", re.ASCII)


def _qubit(tokens: Tokens, scope: Scope, circuit: QuantumCircuit) -> Any:
    """Read `size? name`."""
    size = _size(tokens, scope, circuit)
    return _declare_qubits(scope.new_name(tokens), size, scope, circuit)


def _qreg(tokens: Tokens, scope: Scope, circuit: QuantumCircuit) -> Any:
    """Read `name size?`."""
    name = scope.new_name(tokens)
    return _declare_qubits(name, _size(tokens, scope, circuit), scope, circuit)


def _bit(tokens: Tokens, scope: Scope, circuit: QuantumCircuit) -> Any:
    """Read `size? name`."""
    size = _size(tokens, scope, circuit)
    return _declare_bits(scope.new_name(tokens), size, scope, circuit)


def _creg(tokens: Tokens, scope: Scope, circuit: QuantumCircuit) -> Any:
    """Read `name size?`."""
    name = scope.new_name(tokens)
    return _declare_bits(name, _size(tokens, scope, circuit), scope, circuit)


DECLARATIONS: Final[dict[str, Callable[[Tokens, Scope, QuantumCircuit], Any]]] = {
    "qubit": _qubit,
    "qreg": _qreg,
    "bit": _bit,
    "creg": _creg,
}
"""What reads on after these words, up to what ends the statement; returns what was declared."""


def _size(tokens: Tokens, scope: Scope, circuit: QuantumCircuit) -> int | None:
    """Read `("[" integer "]")?`."""
    if not tokens.accept("["):
        return None
    size = integer(tokens, scope.values)
    tokens.expect("]")
    if not 0 < size <= _MOST_BITS - circuit.num_qubits - circuit.num_clbits:
        raise NotFast
    return size


def _declare_qubits(name: str, size: int | None, scope: Scope, circuit: QuantumCircuit) -> Any:
    if size is None:
        scope.qubits[name] = Qubit()
        circuit.add_bits([scope.qubits[name]])
    else:
        register = QuantumRegister(size, register_name(name))
        circuit.add_register(register)
        scope.qubits[name] = list(register)
    return scope.qubits[name]


def _declare_bits(name: str, size: int | None, scope: Scope, circuit: QuantumCircuit) -> Any:
    if size is None:
        scope.bits[name] = Clbit()
        circuit.add_bits([scope.bits[name]])
    else:
        scope.bits[name] = ClassicalRegister(size, register_name(name))
        circuit.add_register(scope.bits[name])
    return scope.bits[name]


def register_name(name: str) -> str:
    """Return the name that the importer gives to the register `name`."""
    if _PLAIN_NAME.fullmatch(name):
        return name
    escaped = re.sub(r"\W", "_", name)
    return escaped if "a" <= escaped[0] <= "z" else f"esc_{escaped}"
