"""Reads declarations of qubits and bits, as the reference importer makes them.

Without a size a name stands for a bit outside registers. Qiskit's registers once had to have names
that OpenQASM 2 knows; the importer still sees to that.
"""

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final

from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, QuantumRegister, Qubit

from qjet_executor.diagnose import CircuitError
from qjet_executor.extent import Limits
from qjet_executor.qasm3.expressions import integer
from qjet_executor.qasm3.scope import Scope
from qjet_executor.qasm3.tokens import NotFast, Tokens

_PLAIN_NAME: Final = re.compile(r"[a-z]\w*", re.ASCII)


class Declarations:
    """What declarations add to a scope and a circuit, within limits."""

    def __init__(self, scope: Scope, circuit: QuantumCircuit, most: Limits) -> None:
        """Declare nothing yet."""
        self._scope = scope
        self._circuit = circuit
        self._most = most

    def qubit(self, tokens: Tokens) -> None:
        """Read `size? name`."""
        size = self._size(tokens)
        self._declare_qubits(self._scope.new_name(tokens), size)

    def qreg(self, tokens: Tokens) -> None:
        """Read `name size?`."""
        name = self._scope.new_name(tokens)
        self._declare_qubits(name, self._size(tokens))

    def bit(self, tokens: Tokens) -> Any:
        """Read `size? name`, and return what was declared."""
        size = self._size(tokens)
        return self._declare_bits(self._scope.new_name(tokens), size)

    def creg(self, tokens: Tokens) -> None:
        """Read `name size?`."""
        name = self._scope.new_name(tokens)
        self._declare_bits(name, self._size(tokens))

    def _size(self, tokens: Tokens) -> int | None:
        """Read `("[" integer "]")?`."""
        if not tokens.accept("["):
            return None
        size = integer(tokens, self._scope.values)
        tokens.expect("]")
        if size <= 0:
            raise NotFast
        return size

    def _check(self, *, qubits: int = 0, bits: int = 0) -> None:
        """Refuse to declare so many more."""
        qubits += self._circuit.num_qubits
        bits += self._circuit.num_clbits
        if error := self._most.refusal(qubits=qubits, bits=bits):
            raise CircuitError.of(error)

    def _declare_qubits(self, name: str, size: int | None) -> None:
        self._check(qubits=size or 1)
        if size is None:
            self._scope.qubits[name] = Qubit()
            self._circuit.add_bits([self._scope.qubits[name]])
        else:
            register = QuantumRegister(size, register_name(name))
            self._circuit.add_register(register)
            self._scope.qubits[name] = list(register)

    def _declare_bits(self, name: str, size: int | None) -> Any:
        self._check(bits=size or 1)
        bits = Clbit() if size is None else ClassicalRegister(size, register_name(name))
        self._scope.bits[name] = bits
        if size is None:
            self._circuit.add_bits([bits])
        else:
            self._circuit.add_register(bits)
        return bits

    RULES: ClassVar[dict[str, Callable[["Declarations", Tokens], Any]]] = {
        "qubit": qubit,
        "qreg": qreg,
        "bit": bit,
        "creg": creg,
    }
    """What reads on after these words, up to what ends the statement."""


def register_name(name: str) -> str:
    """Return the name that the importer gives to the register `name`."""
    if _PLAIN_NAME.fullmatch(name):
        return name
    escaped = re.sub(r"\W", "_", name)
    return escaped if "a" <= escaped[0] <= "z" else f"esc_{escaped}"
