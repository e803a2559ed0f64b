"""What is kept from earlier jobs: within a number of bytes, the newest and most used."""

import pytest

from qjet_executor.kept import Kept
from qjet_executor.program import Program
from qjet_executor.qasm3 import read
from qjet_executor.sampling import sampling_of
from tests.support.reading import MOST

pytestmark = pytest.mark.unit

START = 'OPENQASM 3; include "stdgates.inc"; qubit[4] q; bit[4] c; '


@pytest.fixture
def made():
    return []


def getter(kept, made):
    def get(key, size=10):
        def make():
            made.append(key)
            return key.upper(), size

        return kept.get(key, make)

    return get


def test_a_value_is_made_once(made):
    """And returned from then on."""
    get = getter(Kept(100), made)
    assert [get("a"), get("a"), get("b"), get("a")] == ["A", "A", "B", "A"]
    assert made == ["a", "b"]


def test_what_was_not_used_for_the_longest_time_goes_first(made):
    """As soon as there is more than there is room for."""
    kept = Kept(30)
    get = getter(kept, made)
    for key in ("a", "b", "c", "a", "d", "a", "b"):
        get(key)
    assert made == ["a", "b", "c", "d", "b"]
    assert len(kept) == 3


def test_one_large_value_takes_the_place_of_several_small_ones(made):
    """Bytes count, not values."""
    kept = Kept(30)
    get = getter(kept, made)
    get("a"), get("b"), get("c"), get("large", 25)
    assert len(kept) == 1
    get("a", 5)
    assert len(kept) == 2


def test_a_value_larger_than_the_room_is_not_kept_and_drives_nothing_out(made):
    """It is made anew each time."""
    kept = Kept(30)
    get = getter(kept, made)
    get("a"), get("huge", 31), get("huge", 31), get("a")
    assert made == ["a", "huge", "huge"]


def test_nothing_is_kept_after_clearing(made):
    """Nor does it count any more."""
    kept = Kept(30)
    get = getter(kept, made)
    get("a", 30)
    kept.clear()
    assert len(kept) == 0
    get("b", 30)
    assert len(kept) == 1


def test_a_programs_size_grows_with_what_it_holds():
    """Operations, also inside blocks, and outcomes whose names are kept."""
    sizes = []
    for body in (
        "x q;",
        "x q; " * 100,
        "if (c[0]) { " + "x q; " * 100 + "}",
        "if (c[0]) x q; " * 100,
    ):
        circuit = read(f"{START} {body}", MOST)
        sizes.append(Program(circuit=circuit, sampling=None).size_bytes)
    assert sizes == sorted(sizes)
    assert sizes[1] > 100 * 4 * 190
    assert sizes[3] > 100 * 10_000
    circuit = read(f"{START} h q; c = measure q;", MOST)
    alone, drawn = (
        Program(circuit=circuit, sampling=sampling).size_bytes
        for sampling in (None, sampling_of(circuit, "automatic"))
    )
    assert drawn >= alone + 2**4 * 100
