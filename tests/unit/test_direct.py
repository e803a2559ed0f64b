"""Plain circuits handed to Aer's core: the same operations, and the same results bit for bit."""

import re

import numpy as np
import pytest
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import ClassicalRegister, Parameter
from qiskit.circuit.library import XGate, get_standard_gate_name_mapping
from qiskit.circuit.random import random_circuit
from qiskit_aer import AerSimulator
from qiskit_aer.backends.aer_compiler import assemble_circuit, generate_aer_config

from qjet_executor.direct import _GATES, Core, _assembled
from qjet_executor.protocol import Room
from qjet_executor.simulator import Run, Setup, Simulator

pytestmark = pytest.mark.unit

SEED = re.compile(r"seed=\d+")
KNOWN = get_standard_gate_name_mapping()
OPTIONS = {"shots": 500, "seed_simulator": 7, "memory": True, "max_parallel_threads": 1}


def gates_alone():
    """Yield a circuit for each gate, with angles that nothing else has."""
    for name in sorted(_GATES):
        gate = KNOWN[name]
        circuit = QuantumCircuit(4, 4, global_phase=0.4)
        circuit.h(range(4))
        values = [0.3 + 0.1 * place for place in range(len(gate.params))]
        made = type(gate)(*values) if values else gate
        circuit.append(made, range(3, 3 - gate.num_qubits, -1))
        circuit.h(range(4))
        circuit.measure(range(4), [2, 0, 1, 3])
        yield circuit


def with_registers():
    """Return a circuit with several registers, a reset and measurements on the way."""
    circuit = QuantumCircuit(
        QuantumRegister(2, "a"), QuantumRegister(1, "b"), ClassicalRegister(2), ClassicalRegister(1)
    )
    circuit.h(0)
    circuit.measure(0, 2)
    circuit.cx(0, 2)
    circuit.barrier()
    circuit.reset(0)
    circuit.append(XGate(label="mine"), [1])
    circuit.measure([0, 1], [0, 1])
    return circuit


def plain_circuits():
    """Yield circuits of many kinds, of which Aer's core knows every gate."""
    yield from gates_alone()
    yield with_registers()
    for seed in range(8):
        circuit = random_circuit(5, 8, max_operands=2, seed=seed, reset=seed % 2 == 0)
        if circuit.count_ops().keys() <= _GATES | {"reset"}:
            circuit.measure_all()
            yield circuit


@pytest.mark.parametrize("method", ["automatic", "statevector", "density_matrix"])
def test_results_are_aers_own_bit_for_bit(method):
    """Counts, each shot's outcome and the method, for every gate and for mixtures of them."""
    aer = AerSimulator(method=method)
    core = Core(aer)
    for circuit in plain_circuits():
        found, result = core.run(circuit, **OPTIONS), aer.run(circuit, **OPTIONS).result()
        if not result.success:  # not every method knows every gate
            assert found is None
            continue
        assert found is not None
        assert found.counts == result.get_counts()
        assert found.memory == result.get_memory()
        assert found.method == result.results[0].metadata["method"]


def test_the_core_gets_the_operations_that_aer_would_make():
    """Name by name and qubit by qubit."""
    for circuit in plain_circuits():
        ours, aers = repr(_assembled(circuit, ())), repr(assemble_circuit(circuit)[0])
        assert SEED.sub("", ours) == SEED.sub("", aers)


def test_probabilities_are_those_of_the_circuit_without_its_measurements():
    """In the order of the qubits asked for, to the last bit."""
    aer = AerSimulator()
    for circuit in gates_alone():
        found = Core(aer).run(circuit, saved=[2, 0], shots=1)
        bare = circuit.copy_empty_like()
        bare.data = [each for each in circuit.data if each.name != "measure"]
        bare.save_probabilities([2, 0])
        expected = aer.run(bare, shots=1).result().data()["probabilities"]
        assert np.array_equal(found.data["probabilities"], expected)


def not_plain():
    """Yield circuits that the core does not take as they are."""
    circuit = QuantumCircuit(2, 2)
    circuit.append(XGate().control(ctrl_state=0), [0, 1])
    yield circuit
    circuit = QuantumCircuit(2)
    circuit.unitary(np.eye(4), [0, 1])
    yield circuit
    circuit = QuantumCircuit(1, 1)
    with circuit.if_test((circuit.clbits[0], True)):
        circuit.x(0)
    yield circuit
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("a"), 0)
    yield circuit
    circuit = QuantumCircuit(1)
    circuit.global_phase = Parameter("a")
    yield circuit
    circuit = QuantumCircuit(1)
    circuit.delay(10, 0)
    yield circuit
    circuit = QuantumCircuit(1)
    circuit.initialize([0, 1], [0])
    yield circuit


@pytest.mark.parametrize("circuit", list(not_plain()))
def test_what_is_not_plain_is_left_to_aer(circuit):
    """Control flow, open angles, and whatever has no name that the core knows."""
    assert Core(AerSimulator()).run(circuit, shots=1) is None


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, {"shots": 3}),
        ({"method": "matrix_product_state", "matrix_product_state_max_bond_dimension": 4}, {}),
        ({"precision": "single", "fusion_enable": False}, {"seed_simulator": 2**60}),
        ({"max_memory_mb": 77, "max_parallel_threads": 1}, {"max_memory_mb": 5, "memory": True}),
    ],
)
def test_the_core_gets_the_options_that_aer_would_give_it(options, more):
    """Every one that it has, by name."""
    aer = AerSimulator(**options)
    circuit = QuantumCircuit(3, 2)
    ours, aers = (
        Core(aer)._config(circuit, {**more, "seed_simulator": more.get("seed_simulator")}),
        generate_aer_config([circuit], aer.options, **more),
    )
    names = [name for name in dir(aers) if not name.startswith("_")]
    assert len(names) > 50
    assert {n: getattr(ours, n) for n in names} == {n: getattr(aers, n) for n in names}


def test_a_simulator_takes_either_way_to_the_same_counts():
    """With a gate that the core knows, and with the same as a matrix."""
    room = Room(memory_mb=1000, most_mb=1000, threads=1)
    simulator = Simulator(Setup(method="statevector"))
    counts = []
    for is_plain in (True, False):
        circuit = QuantumCircuit(1, 1)
        circuit.h(0) if is_plain else circuit.unitary(np.array([[1, 1], [1, -1]]) / 2**0.5, 0)
        circuit.measure(0, 0)
        (found,) = simulator.run(circuit, [{}], Run(shots=200, seed=3, room=room))
        counts.append(found.counts)
    assert counts[0] == counts[1]


def test_a_failed_run_is_left_to_aer_to_explain():
    """There are other ways to try first, and words for each failure."""
    circuit = QuantumCircuit(30, 30)
    circuit.h(range(30))
    circuit.t(range(30))
    circuit.measure(range(30), range(30))
    assert Core(AerSimulator()).run(circuit, shots=1, max_memory_mb=10) is None
