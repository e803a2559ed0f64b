"""Batches: their names, and every way to get one wrong."""

import msgspec
import pytest

from qjet_gateway.cluster import Watch
from qjet_shared import subjects
from qjet_shared.batches import LARGEST_BATCH, BatchName, batch_name
from qjet_shared.errors import FieldError, InvalidJsonError
from qjet_shared.ids import new_task_id
from qjet_shared.submissions import Limits, read_batch, read_json

pytestmark = pytest.mark.unit

LIMITS = Limits(max_shots=2000)
UUID = "01a1b2c3-d4e5-7f60-8a9b-0c1d2e3f4a5b"
GOOD = {"qc": "OPENQASM 3;"}


def field_errors(*tasks, **others):
    with pytest.raises(FieldError) as caught:
        read_batch(msgspec.json.encode({"tasks": tasks, **others}), LIMITS)
    return caught.value.errors


@pytest.mark.parametrize("size", [1, 2, 999, LARGEST_BATCH])
def test_a_batch_is_known_by_its_id_alone(size):
    """The id tells how many tasks there are, and their ids, which are legal and in order."""
    name = BatchName(new_task_id(), size)
    found = batch_name(name.batch_id)
    assert found == name
    assert len(set(found.task_ids)) == size
    assert sorted(found.task_ids) == found.task_ids
    assert all(map(subjects.is_task_id, found.task_ids))


def test_tasks_of_a_later_batch_sort_after_those_of_an_earlier_one():
    """Like the ids of single tasks, by the millisecond."""
    earlier = BatchName("01a1b2c3-d4e5-7f60-8a9b-0c1d2e3f4a5b", 3)
    later = BatchName("01a1b2c3-d4e6-7000-8000-000000000000", 3)
    assert max(earlier.task_ids) < min(later.task_ids)


@pytest.mark.parametrize(
    "text",
    [
        "",
        UUID,
        f"{UUID}-001",
        f"{UUID}-x0",
        f"{UUID}-x007",
        f"{UUID}-x1001",
        f"{UUID}-x-1",
        f"{UUID}-x1 ",
        f"{UUID}-x\uff11",
        f"{UUID}-x{'9' * 10_000}",
        f"{UUID.upper()}-x2",
        "01a1b2c3-d4e5-4f60-8a9b-0c1d2e3f4a5b-x2",
        "*-x2",
    ],
)
def test_what_is_no_batch_id_names_no_batch(text):
    """Not nearly: a batch has one id."""
    assert batch_name(text) is None


def test_each_task_is_read_as_it_would_be_alone():
    """With the very bytes it was written in, which is what is stored."""
    body = b'{"tasks": [{"qc":"a"} ,\n {"shots" : 7, "qc":"\\u0062"}]}'
    first, second = read_batch(body, LIMITS)
    assert (first.payload, second.payload) == (b'{"qc":"a"}', b'{"shots" : 7, "qc":"\\u0062"}')
    for part in (first, second):
        assert part.submission == read_json(part.payload, LIMITS)
    assert (second.submission.qc, second.submission.shots) == ("b", 7)


def test_a_task_that_does_not_say_gets_no_more_shots_than_are_allowed():
    """As one alone."""
    (part,) = read_batch(msgspec.json.encode({"tasks": [GOOD]}), Limits(max_shots=9))
    assert part.submission.shots == 9


def test_each_problem_names_its_task():
    """Field by field, in the order of the tasks, as it would be named for one alone."""
    wrong = field_errors(GOOD, {"qc": 1}, {**GOOD, "shots": 2001}, {**GOOD, "wat": 1}, 5)
    assert [field for field, _ in wrong] == [
        "tasks[1].qc",
        "tasks[2].shots",
        "tasks[3].wat",
        "tasks[4]",
    ]
    assert "at most 2000" in dict(wrong)["tasks[2].shots"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", ""),
        (b"{}", "tasks"),
        (b'{"tasks": []}', "tasks"),
        (b'{"tasks": {"qc": "x"}}', "tasks"),
        (b'{"tasks": [' + b"1," * LARGEST_BATCH + b"1]}", "tasks"),
        (b'{"tasks": [{"qc": "x"}], "shots": 2}', "shots"),
        (b'{"qc": "x"}', "qc"),
    ],
)
def test_a_batch_itself_may_be_wrong(body, field):
    """Shape, unknown fields, and how many tasks there are."""
    with pytest.raises(FieldError) as caught:
        read_batch(body, LIMITS)
    assert caught.value.errors[0][0] == field


def test_much_that_is_wrong_is_cut_short():
    """However many tasks are wrong, the answer is short."""
    wrong = field_errors(*[{"qc": "", "k" * 5000: 1}] * LARGEST_BATCH)
    assert len(wrong) == 21
    assert "1980 more" in wrong[-1][1]
    assert max(len(field) for field, _ in wrong) <= 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b'{"tasks": [{]}', "byte 12"),
        (b'{"tasks": [{"qc": "x"}, {"qc": "\xff"}]}', "tasks[1]: The text is not UTF-8"),
        (b'{"tasks": ' + b"[" * 100_000, "nested"),
    ],
)
def test_what_is_no_json_is_said_with_its_place(body, says):
    """Malformed is malformed, inside a task too."""
    with pytest.raises(InvalidJsonError, match=says.replace("[", r"\[")):
        read_batch(body, LIMITS)


def test_a_watch_is_over_once_all_ends_were_heard():
    """Also those that were heard before it was known that they are awaited, but no end twice."""
    watch = Watch("abc")
    for task_id in "ab":
        watch.hear(task_id)
        assert not watch.over.is_set()
    watch.hear("c")
    assert watch.over.is_set()
    watch.await_only("cd")
    assert not watch.over.is_set()
    watch.hear("d")
    assert watch.over.is_set()
    watch.await_only("d")
    assert watch.over.is_set()
    watch.await_only("d")
    assert not watch.over.is_set()
