"""The reference importer, mended where it would give wrong counts."""

import pytest
from qiskit import QuantumCircuit, qasm3
from qiskit.quantum_info import Operator

from qjet_executor.circuits import read_circuit
from qjet_executor.qasm3.importer import load

pytestmark = pytest.mark.unit

SOURCE = 'include "stdgates.inc"; gate g(t, a) q { rx(t) q; p(a) q; } qubit q; g(0.1, 0.2) q;'


def unitary(circuit):
    return Operator(circuit.decompose("g"))


def test_a_gates_arguments_go_to_its_parameters_by_position():
    """Qiskit's own importer goes by the alphabet; should it change, ours can go."""
    meant = QuantumCircuit(1)
    meant.rx(0.1, 0)
    meant.p(0.2, 0)
    assert unitary(load(SOURCE)) == Operator(meant)
    assert unitary(qasm3.loads(SOURCE)) != Operator(meant)


def test_more_than_ten_parameters_keep_their_order():
    """Such names as Qiskit itself exports: p10 stands before p2 in the alphabet."""
    names = [f"p{n}" for n in range(12)]
    body = " ".join(f"rx({name}) q; p({name}) q;" for name in names)
    values = [n / 10 for n in range(12)]
    arguments = ", ".join(map(str, values))
    definition = f"gate g({', '.join(names)}) q {{ {body} }}"
    source = f'include "stdgates.inc"; {definition} qubit q; g({arguments}) q;'
    meant = QuantumCircuit(1)
    for value in values:
        meant.rx(value, 0)
        meant.p(value, 0)
    assert unitary(load(source)) == Operator(meant)


def test_a_task_gets_the_circuit_that_was_meant():
    """Also where only the importer reads the program, here for its loop."""
    source = "bit c; for int i in [0:0] { g(pi, 0) q; } c = measure q;"
    circuit = read_circuit(f"{SOURCE} {source}")
    (loop,) = [i.operation for i in circuit.data if i.operation.name == "for_loop"]
    assert [(i.operation.name, float(i.operation.params[0])) for i in loop.blocks[0].data] == [
        ("rx", pytest.approx(3.141592653589793)),
        ("p", 0),
    ]
