"""Names: no two ids share a place, and no id breaks one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qjet_shared import subjects

pytestmark = pytest.mark.property

NATS_TOKEN = re.compile(r"[-/_=a-zA-Z0-9]+\Z")
LEGAL = st.text(st.sampled_from("abcXYZ019-_"), min_size=1, max_size=128)
ANY = st.one_of(
    LEGAL,
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from("a=2E.F!"), max_size=300),
    st.binary(max_size=80).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.builds(
        lambda text, n: text * n, st.text(st.sampled_from("a.é"), min_size=1), st.integers(1, 300)
    ),
)


@given(LEGAL)
def test_a_legal_id_is_its_own_token(task_id):
    """Nothing is changed that need not be."""
    assert subjects.is_task_id(task_id)
    assert subjects.token(task_id) == task_id


@given(ANY)
def test_a_token_is_always_one_legal_token_and_key(task_id):
    """Whatever the id: no dot, no wildcard, no white space, not empty, not long."""
    token = subjects.token(task_id)
    assert NATS_TOKEN.match(token)
    assert len(token) <= 200


@given(ANY, ANY)
def test_different_ids_have_different_tokens(first, second):
    """Nobody's result takes the place of another's."""
    same = first.encode("utf-8", "surrogateescape") == second.encode("utf-8", "surrogateescape")
    assert (subjects.token(first) == subjects.token(second)) is same


@given(ANY)
def test_a_tokens_token_is_another_ids(task_id):
    """An id that looks like a quoted one is quoted again, so the two stay apart."""
    token = subjects.token(task_id)
    assert (subjects.token(token) == token) is (token == task_id)


@given(LEGAL, st.sampled_from(["default", "large"]))
def test_a_subject_gives_back_its_id(task_id, lane):
    """Both ways in."""
    assert subjects.task_id_of(subjects.submit(task_id)) == task_id
    assert subjects.task_id_of(subjects.task(lane, task_id)) == task_id


@given(ANY, st.sampled_from(["pending", "running", "completed", "error", "cancelled"]))
def test_events_and_results_have_a_fixed_number_of_tokens(task_id, status):
    """Subscriptions like `qjet.events.*.completed` hear them all."""
    assert subjects.event(task_id, status).count(".") == 3
    assert subjects.final(subjects.token(task_id), status).count(".") == 3
    assert subjects.result(task_id).count(".") == 2
