"""Precision and method options: Aer's counts with the same ones, bit for bit."""

import json

import pytest
from qiskit import qasm3
from qiskit_aer import AerSimulator

from qjet_executor.protocol import Job
from qjet_executor.simulate import Simulators
from qjet_shared.options import MethodOptions, misplaced

pytestmark = pytest.mark.unit

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
ENTANGLED = (
    HEAD
    + "qubit[8] q; bit[8] c;"
    + "".join(f"ry({0.3 + i}) q[{i}];" for i in range(8))
    + "".join(f"cx q[{i}], q[{(i * 3 + 1) % 8}];" for i in range(8) if i != (i * 3 + 1) % 8)
    + "".join(f"rx({1.1 + i}) q[{i}];" for i in range(8))
    + "".join(f"cx q[{i}], q[{i + 1}];" for i in range(7))
    + "c = measure q;"
)
SMALL = HEAD + "qubit[3] q; bit[3] c; h q[0]; t q[0]; h q[0]; cx q[0], q[1]; c = measure q;"

simulators = Simulators(max_memory_mb=1000, max_threads=1)


def run(source, method, *, seed=7, shots=300, **options):
    precision = options.pop("precision", "double")
    outcome = simulators.run(
        Job(
            qc=source,
            shots=shots,
            seed=seed,
            method=method,
            memory=False,
            precision=precision,
            method_options=MethodOptions(**options) if options else None,
        )
    )
    assert outcome.error is None, outcome.error
    return json.loads(outcome.counts)


def aers_counts(source, method, *, shots=300, **options):
    aer = AerSimulator(method=method, **options)
    return aer.run(qasm3.loads(source), shots=shots, seed_simulator=7).result().get_counts()


@pytest.mark.parametrize(
    ("source", "method", "options"),
    [
        (ENTANGLED, "statevector", {"precision": "single"}),
        (ENTANGLED, "density_matrix", {"precision": "single"}),
        (ENTANGLED, "statevector", {"fusion_enable": False}),
        (ENTANGLED, "statevector", {"fusion_threshold": 1, "fusion_max_qubit": 2}),
        (ENTANGLED, "matrix_product_state", {"matrix_product_state_max_bond_dimension": 2}),
        (ENTANGLED, "matrix_product_state", {"matrix_product_state_truncation_threshold": 0.3}),
        (
            ENTANGLED,
            "matrix_product_state",
            {"mps_sample_measure_algorithm": "mps_probabilities"},
        ),
        (
            ENTANGLED,
            "matrix_product_state",
            {"mps_sample_measure_algorithm": "mps_apply_measure"},
        ),
        (
            SMALL,
            "extended_stabilizer",
            {
                "extended_stabilizer_approximation_error": 0.2,
                "extended_stabilizer_metropolis_mixing_time": 50,
            },
        ),
        (
            SMALL,
            "extended_stabilizer",
            {
                "extended_stabilizer_sampling_method": "norm_estimation",
                "extended_stabilizer_norm_estimation_samples": 10,
                "extended_stabilizer_norm_estimation_repetitions": 2,
            },
        ),
        (
            SMALL,
            "extended_stabilizer",
            {
                "extended_stabilizer_sampling_method": "metropolis",
                "extended_stabilizer_metropolis_mixing_time": 50,
            },
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_options_give_aers_counts_bit_for_bit(source, method, options):
    """Called directly with the same."""
    shots = 20 if method == "extended_stabilizer" else 300  # where each takes so long
    ours = run(source, method, shots=shots, **options)
    assert ours == aers_counts(source, method, shots=shots, **options)


def test_truncation_changes_the_counts():
    """So the options above reached Aer at all."""
    options = {"matrix_product_state_max_bond_dimension": 2}
    plain = run(ENTANGLED, "matrix_product_state")
    assert run(ENTANGLED, "matrix_product_state", **options) != plain


def test_every_option_is_one_of_aers():
    """By its name."""
    aers = AerSimulator().options
    assert [name for name in MethodOptions.__struct_fields__ if not hasattr(aers, name)] == []


def test_options_of_another_method_are_told():
    """Aer would pass over them in silence."""
    options = MethodOptions(
        matrix_product_state_max_bond_dimension=4,
        extended_stabilizer_approximation_error=0.1,
        mps_sample_measure_algorithm="mps_probabilities",
        fusion_enable=True,
    )
    assert misplaced(options, "matrix_product_state") == ["extended_stabilizer_approximation_error"]
    assert len(misplaced(options, "automatic")) == 3
    assert misplaced(None, "automatic") == []
