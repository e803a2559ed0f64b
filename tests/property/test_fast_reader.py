"""The fast reader and the reference importer agree on every program that both read."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qjet_executor.diagnose import CircuitError
from qjet_executor.genuine import genuine
from qjet_executor.qasm3 import read
from qjet_executor.qasm3.importer import load
from qjet_executor.simulator import Setup, Simulator
from tests.support.programs import program, slip
from tests.support.reading import MOST, MOST_OPERATIONS, description

pytestmark = [
    pytest.mark.property,
    pytest.mark.filterwarnings("ignore:.*argument ``annotated`` is deprecated"),
]

CHANCES = st.randoms(use_true_random=True)
MISTAKEN = ("name conflict", "with unbound parameters {} is not numeric")
"""What Qiskit says of valid definitions whose parameters share names, or are multiplied by 0."""


def outcome(read_it, source):
    """Return what a reader makes of a program: a description, None, or its error."""
    try:
        circuit = read_it(source)
        return None if circuit is None else description(circuit)
    except Exception as exc:  # noqa: BLE001  # the importer raises all kinds
        return exc


def fast(source):
    return read(source, MOST)


@settings(max_examples=150, deadline=None)
@given(CHANCES.map(program))
def test_both_readers_make_the_same_circuit(source):
    """Operations, bits, registers and angles to the last bit; none where the importer refuses."""
    ours, reference = outcome(fast, source), outcome(load, source)
    if not isinstance(reference, Exception):
        assert ours == reference or (ours is None and "@" in source)
    elif not any(words in str(reference).lower() for words in MISTAKEN):
        assert ours is None or isinstance(ours, CircuitError)


@settings(max_examples=150, deadline=None)
@given(CHANCES.map(slip))
def test_a_slip_is_no_circuit_for_the_fast_reader_where_it_is_none_for_the_importer(source):
    """Refused with line and column, left to the importer, or equal."""
    ours, reference = outcome(fast, source), outcome(load, source)
    if isinstance(ours, CircuitError):
        assert isinstance(reference, Exception)
        assert ours.error.line is not None
    elif ours is not None and not any(words in str(reference).lower() for words in MISTAKEN):
        assert ours == reference


@settings(max_examples=60, deadline=None)
@given(CHANCES.map(program), st.integers(0, 2**63 - 1))
def test_seeded_counts_are_those_of_the_importers_circuit(source, seed):
    """Bit for bit, wherever the circuit can be run at all."""
    ours, reference = (circuit_of(make, source) for make in (fast, load))
    if ours is None or reference is None or "while" in source:
        return
    aer = simulator().aer
    ran, expected = (
        aer.run(simulator().prepare(circuit), shots=50, seed_simulator=seed).result()
        for circuit in (ours, reference)
    )
    assert ran.success == expected.success
    if expected.success:
        assert ran.get_counts() == expected.get_counts()


def circuit_of(make, source):
    """Return what a reader makes of a program, or None: refusals are compared above."""
    try:
        return genuine(make(source), MOST_OPERATIONS)
    except Exception:  # noqa: BLE001  # of all kinds
        return None


@cache
def simulator():
    """Make it once, and not at import."""
    return Simulator(Setup(method="automatic"))
