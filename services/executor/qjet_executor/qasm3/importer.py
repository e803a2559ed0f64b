"""The reference importer, with the one error put right that gives wrong counts.

It takes a gate's parameters in alphabetical order: of `gate g(theta, phi) a { … }`, `g(1, 2) q;`
would have `phi` 1 and `theta` 2. Here they are taken in the order of their declaration.
"""

from typing import Any

import openqasm3
from qiskit import QuantumCircuit
from qiskit.qasm3 import QASM3ImporterError
from qiskit_qasm3_import import ConversionError
from qiskit_qasm3_import.converter import ConvertVisitor, GateBuilder


def load(source: str) -> QuantumCircuit:
    """Do what `qiskit.qasm3.loads` does, but for the order of gates' parameters.

    Raises:
        QASM3ImporterError: what it raises itself; others come from the parser or from Qiskit.
    """
    try:
        return _Visitor().convert(openqasm3.parse(source)).circuit
    except ConversionError as exc:
        raise QASM3ImporterError(str(exc)) from exc


class _Visitor(ConvertVisitor):
    def _define_gate(self, name: str, definition: Any, *rest: Any) -> Any:
        if isinstance(definition, GateBuilder):
            _, _, definer, _ = rest
            names = [argument.name for argument in definer.arguments]
            definition._order = tuple(  # noqa: SLF001  # `__init__` takes it, but is not given it
                sorted(definition._order, key=lambda p: names.index(p.name))  # noqa: SLF001
            )
        return super()._define_gate(name, definition, *rest)
