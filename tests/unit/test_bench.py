"""The bench's pieces: turns, verdicts, circuits that both sides read, and the picture."""

from itertools import islice

import pytest
from qiskit import qasm3

from qjet_executor.circuits import read_circuit
from tests.bench.circuits import MIX_SIZE, mix, sources, swept
from tests.bench.families import FAMILIES
from tests.bench.frame import Found, Line, Target, alternate, ratios
from tests.bench.load import WrongResultError, check
from tests.bench.picture import RATIO, draw
from tests.bench.report import as_json

pytestmark = pytest.mark.unit


def test_sides_take_turns_in_going_first():
    """So that what changes in the middle of a round favours neither."""
    order = []
    sides = {name: lambda number, name=name: order.append((number, name)) or 1.0 for name in "ab"}
    found = alternate(2, **sides)
    assert order == [(0, "a"), (0, "b"), (1, "b"), (1, "a")]
    assert ratios(found, "a", "b") == [1.0, 1.0]


@pytest.mark.parametrize(
    ("sign", "figures", "is_met"),
    [(">=", [1, 5, 9], True), (">=", [4, 4.9, 9], False), ("<=", [1, 5, 9], True)],
)
def test_the_median_is_what_counts(sign, figures, is_met):
    """A single good or bad round decides nothing."""
    line = Line(title="", unit="", figures=figures, target=Target(sign, 5))
    assert line.is_met is is_met
    assert line.spread.min <= line.spread.median <= line.spread.max


@pytest.mark.parametrize(
    "task",
    [
        {"status": "error", "result": None},
        {"status": "completed", "result": {"00": 9}},
        {"status": "completed", "result": [{"00": 10}]},
    ],
)
def test_a_wrong_result_ends_the_bench(task):
    """A failed task, a lost shot or a missing point of a sweep is no measurement."""
    submission = {"shots": 10}
    if isinstance(task["result"], list):
        submission["parameters"] = [{"a": 1}, {"a": 2}]
    with pytest.raises(WrongResultError):
        check(task, submission)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_both_sides_read_a_family_alike(family):
    """Same registers and, where no gates of its own have to be taken apart, same operations."""
    place = FAMILIES.index(family)
    source = next(islice(mix("1", most_gates=60), place, None))
    ours, theirs = read_circuit(source), qasm3.loads(source)
    assert (ours.num_qubits, ours.num_clbits) == (theirs.num_qubits, theirs.num_clbits)
    if "gate " not in source and "@" not in source:
        assert ours.count_ops() == theirs.count_ops()


def test_a_mix_has_the_same_shapes_for_every_seed_and_no_program_twice():
    """Both sides have the same work, and neither has seen a program before."""
    one, two = (list(islice(mix(seed, most_gates=2000), MIX_SIZE)) for seed in "12")
    assert len({*one, *two}) == 2 * MIX_SIZE
    assert [read_circuit(each).num_qubits for each in one[:9]] == [
        read_circuit(each).num_qubits for each in two[:9]
    ]


def test_other_angles_are_other_programs():
    """No two of them could be read from a cache."""
    assert len(set(islice(sources("angles", "1"), 50))) == 50


def test_a_sweeps_points_can_be_written_out():
    """The same operations, with an input or with a number."""
    declared = "input float a;\n"
    operations = [
        read_circuit(source).count_ops()
        for source in (swept(3, ("a",), declared, 1), swept(3, ("0.5",), "", 1))
    ]
    assert operations[0] == operations[1]


def test_the_same_figures_make_the_same_picture(tmp_path):
    """Byte by byte, without a date: a new picture in a change means new figures."""
    line = Line(title="a thing", unit=RATIO, figures=[1.0, 2.0, 3.0], target=Target(">=", 1))
    rounds = [{"qjet": {"cpu_ms_per_task": {"qjet_gateway": 0.5, "client": 0.2}}}]
    rows = as_json({"bell": Found(lines=[line], rounds=rounds)})
    pictures = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for picture in pictures:
        draw(rows, picture)
    one, two = (picture.read_bytes() for picture in pictures)
    assert one == two
    assert b"a thing" in one
