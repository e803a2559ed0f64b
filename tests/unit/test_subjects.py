"""Names on the wire: which ids are legal, and what stands for those that are not."""

import re
from hashlib import sha256
from itertools import count

import pytest

from qjet_shared import subjects

pytestmark = pytest.mark.unit

NATS_TOKEN = re.compile(r"[-/_=a-zA-Z0-9]+\Z")
"""Legal as one subject token and as a KV key. Source: nats.py `js/kv.py`, VALID_KEY_RE."""


@pytest.mark.parametrize("task_id", ["a", "Z9", "-", "_", "bell-1", "A_b-C", "0" * 128])
def test_legal_ids_are_their_own_token(task_id):
    """An id of letters, digits, `-` and `_` is used as it stands."""
    assert subjects.is_task_id(task_id)
    assert subjects.token(task_id) == task_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "a.b",
        "a*",
        ">",
        "a/b",
        "é",
        "a\x00",
        "a=",
        "a\n",
        "\na",
        "a\r",
        "٣",
        "0" * 129,
    ],
)
def test_anything_else_is_no_task_id(text):
    """Wildcards, dots, white space (a last newline too), other alphabets, 129 characters."""
    assert not subjects.is_task_id(text)


@pytest.mark.parametrize(
    "task_id",
    ["", " ", "a b", "a.b", "a*", ">", "a\n", "é", "\x00", "=", "a" * 129, "." * 5000, "中" * 300],
)
def test_illegal_ids_still_get_one_legal_token(task_id):
    """Whatever is published under `qjet.submit.` has a place for its error result."""
    assert NATS_TOKEN.match(subjects.token(task_id))


def test_what_is_no_text_gets_a_token_too():
    """A path may hold bytes that are no UTF-8; they reach us as lone surrogates."""
    assert subjects.token(b"a\xff".decode("utf-8", "surrogateescape")) == "a=ED=B3=BF"


@pytest.mark.parametrize("length", [129, 199, 201, 1000, 100_000])
def test_long_ids_have_bounded_tokens(length):
    """A token is never longer than 200 characters, so a subject stays short."""
    assert len(subjects.token("x" * length)) <= 200


def test_ids_that_differ_only_at_their_end_have_different_tokens():
    """The digest, not the cut, tells long ids apart."""
    assert subjects.token("." * 400 + "a") != subjects.token("." * 400 + "b")


def test_no_short_id_is_quoted_to_a_long_ids_token():
    """Nobody can craft an id whose token is that of a long one.

    Where a digest begins with `21`, what follows the cut reads like a quoted `!`.
    """
    long_id = next(
        text
        for text in (f"{'x' * 300}{n}" for n in count())
        if sha256(text.encode()).hexdigest().startswith("21")
    )
    crafted = f"{'x' * 100}!{sha256(long_id.encode()).hexdigest()[2:]}"
    assert subjects.token(crafted) != subjects.token(long_id)


@pytest.mark.parametrize(
    ("subject", "task_id"),
    [
        ("qjet.submit.bell-1", "bell-1"),
        ("qjet.submit.a.b", "a.b"),
        ("qjet.submit.qjet.submit.x", "qjet.submit.x"),
        ("qjet.tasks.default.abc", "abc"),
        ("qjet.tasks.large.0-1_2", "0-1_2"),
    ],
)
def test_the_task_id_is_read_from_either_subject(subject, task_id):
    """Everything after `qjet.submit.` is the id, dots too; behind a lane it is one token."""
    assert subjects.task_id_of(subject) == task_id


def test_building_a_subject_and_reading_it_back_agree():
    """`submit` and `task` are undone by `task_id_of`."""
    assert subjects.task_id_of(subjects.submit("t-1")) == "t-1"
    assert subjects.task_id_of(subjects.task("default", "t-1")) == "t-1"


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (subjects.submit("t"), "qjet.submit.t"),
        (subjects.result("t"), "qjet.results.t"),
        (subjects.result("a b"), "qjet.results.a=20b"),
        (subjects.event("t", "running"), "qjet.events.t.running"),
        (subjects.API_SUBMIT, "qjet.api.submit"),
        (subjects.API_GET, "qjet.api.get"),
        (subjects.TASKS_STREAM, "QJET_TASKS"),
        (subjects.RESULTS_STREAM, "QJET_RESULTS"),
        (subjects.RESULTS_BUCKET, "qjet-results"),
        (subjects.BLOBS_BUCKET, "qjet-blobs"),
    ],
)
def test_public_names_are_those_of_the_contract(subject, expected):
    """Users and dashboards rely on these spellings."""
    assert subject == expected


def test_a_final_events_subject_is_republished_as_the_public_one():
    """`qjet.final.>` maps onto `qjet.events.>` token by token."""
    final, public = subjects.final(subjects.token("t.x"), "error"), subjects.event("t.x", "error")
    assert final.replace("qjet.final.", "qjet.events.", 1) == public
