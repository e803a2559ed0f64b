"""The judge of `make chaos`: each kind of wrong facts has to be found, and right ones pass."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.check import check
from tests.chaos.facts import Facts, Kept, Run, Submitted

END = datetime(2026, 1, 2, tzinfo=UTC)


def submitted(name: str = "s", **changes) -> Submitted:
    usual = Submitted(
        name, 0, "bell", "plain", is_accepted=True, task_ids=[f"id-{name}"], answers=["202"]
    )
    return replace(usual, **changes)


def entry(name: str = "s", **changes) -> dict:
    usual = {
        "task_id": f"id-{name}",
        "name": name,
        "status": "completed",
        "result": {"00": 30, "11": 34},
        "error": None,
        "attempts": 1,
        "finished_at": END.isoformat(),
    }
    return {**usual, **changes}


def kept(name: str = "s", **changes) -> Kept:
    """A task that went as it should, but for what `changes` says."""
    state = changes.pop("entry", entry(name))
    status = state["status"] if state else "completed"
    usual = Kept(f"id-{name}", results=[state or entry(name)], entry=state, finals=[status])
    return replace(usual, **changes)


def rules(submissions: list[Submitted], tasks: list[Kept], **changes) -> list[str]:
    facts = Facts(submissions, {task.task_id: task for task in tasks}, **changes)
    return [violation.rule for violation in check(facts)]


def test_a_good_run_passes():
    """Several tasks that went well, one heard as it ran and ended, are no violation."""
    heard = kept("b", heard=["completed"], runs=[Run(1, END - timedelta(seconds=1), "e")])
    assert rules([submitted("a"), submitted("b")], [kept("a"), heard]) == []


def test_a_lost_task():
    """Accepted and nowhere to be found."""
    assert rules([submitted()], []) == ["lost"]


def test_a_task_without_entry():
    """Its messages are all gone, but nothing is in the bucket."""
    assert rules([submitted()], [kept(entry=None, results=[], finals=[])]) == ["lost"]


def test_a_task_without_final_event():
    """Stored, but never announced."""
    assert rules([submitted()], [kept(finals=[])]) == ["lost"]


def test_a_task_without_result():
    """The bucket has what the results stream never had."""
    assert rules([submitted()], [kept(results=[])]) == ["lost"]


def test_a_stuck_task():
    """Still in the work queue when all is over."""
    found = rules([submitted()], [kept(entry=None, results=[], finals=[], waiting=1)])
    assert found == ["stuck", "stuck"]


def test_a_finished_task_that_stays_in_the_queue():
    """It has its result, and its message is still there."""
    assert rules([submitted()], [kept(waiting=1)]) == ["stuck"]


def test_work_that_is_left():
    """Something is on its way for ever, whosever it is."""
    assert rules([submitted()], [kept()], is_settled=False) == ["stuck"]


def test_a_result_that_never_reached_the_bucket():
    """On the results stream for good."""
    assert rules([submitted()], [kept(entry=None, finals=[])]) == ["stuck"]


@pytest.mark.parametrize(
    "changes",
    [
        {"results": [entry(), entry()]},
        {"finals": ["completed", "completed"]},
        {"heard": ["completed", "completed"]},
    ],
)
def test_a_doubled_task(changes):
    """Two results, two stored final events, or one heard twice."""
    assert rules([submitted()], [kept(**changes)]) == ["doubled"]


def test_a_replaced_entry():
    """The bucket's stream numbered more messages than it holds."""
    assert rules([submitted()], [kept()], overwritten=1) == ["overwritten"]


@pytest.mark.parametrize(
    ("task", "found"),
    [
        (kept(finals=["completed", "error"]), ["doubled", "contradiction"]),
        (kept(heard=["cancelled"]), ["contradiction"]),
        (kept(results=[entry(status="error")]), ["contradiction"]),
    ],
)
def test_places_that_disagree(task, found):
    """Result, entry and events each tell of the same final state."""
    assert rules([submitted()], [task]) == found


@pytest.mark.parametrize(
    ("answer", "status", "found"),
    [
        (200, "cancelled", []),
        (200, "completed", ["contradiction"]),
        (409, "completed", []),
        (409, "cancelled", ["contradiction"]),
        (404, "completed", ["unreadable"]),
        (None, "cancelled", []),
    ],
)
def test_a_cancellation(answer, status, found):
    """200 is kept, 409 too; without an answer, either end is right."""
    asked = submitted(is_cancel_asked=True, cancel=answer)
    assert rules([asked], [kept(entry=entry(status=status))]) == found


def test_a_cancellation_nobody_asked_for():
    """A task is cancelled by its user alone."""
    assert rules([submitted()], [kept(entry=entry(status="cancelled"))]) == ["contradiction"]


@pytest.mark.parametrize(
    ("read", "found"),
    [
        ("completed", []),
        ("running", []),
        ("error", ["contradiction"]),
        ("404", ["unreadable"]),
    ],
)
def test_a_reader(read, found):
    """What was read as final stays so, and an accepted task is never unknown."""
    assert rules([submitted(reads=[read])], [kept()]) == found


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({"00": 30, "11": 33}, ["counts"]),
        ({"000": 30, "111": 34}, ["mixed up"]),
        ({}, ["counts"]),
    ],
)
def test_wrong_counts(counts, found):
    """They sum to the shots and are this circuit's."""
    assert rules([submitted()], [kept(entry=entry(result=counts))]) == found


def test_another_tasks_circuit():
    """A tagged task gives its own number and no other."""
    mine = submitted(kind="tagged", index=5)
    theirs = entry(result={f"{6:016b} 00": 16, f"{6:016b} 11": 16})
    assert rules([mine], [kept(entry=theirs)]) == ["mixed up"]


def test_an_entry_under_another_id():
    """What stands under an id bears it."""
    assert rules([submitted()], [kept(entry=entry(task_id="id-other"))]) == ["mixed up"]


@pytest.mark.parametrize(
    ("kind", "state", "found"),
    [
        ("bell", {"status": "error", "error": {"code": "sandbox_crashed"}}, ["wrong state"]),
        ("broken", {"status": "completed"}, ["wrong state"]),
        ("broken", {"status": "error", "error": {"code": "time_limit"}}, ["wrong state"]),
        ("broken", {"status": "error", "error": {"code": "qasm_syntax"}, "result": None}, []),
    ],
)
def test_the_wrong_final_state(kind, state, found):
    """A good circuit completes, and a bad one ends with its own error."""
    assert rules([submitted(kind=kind)], [kept(entry=entry(**state))]) == found


def test_two_tasks_for_one_key():
    """Answered with two ids, or with one while another bears the same name."""
    first, second = kept("a"), kept("b")
    told = submitted(door="keyed", task_ids=["id-a", "id-b"])
    assert rules([told], [first, second]) == ["two tasks"]
    unheard = replace(second, entry={**entry("b"), "name": "a"})
    assert rules([submitted("a", door="keyed")], [first, unheard]) == ["two tasks"]


def test_half_a_request():
    """No task comes of it."""
    half = submitted(door="half", is_accepted=False, task_ids=[], answers=[])
    assert rules([half], []) == []
    assert rules([half], [kept()]) == ["half a request"]


def test_a_client_that_hung_up():
    """Its task may be there, and then has to be whole."""
    gone = submitted(door="hangup", is_accepted=False, task_ids=[], answers=[])
    assert rules([gone], []) == []
    assert rules([gone], [kept()]) == []
    assert rules([gone], [kept(entry=None)]) == ["stuck"]


def test_a_task_nobody_submitted():
    """Whatever the broker holds was asked for by somebody."""
    assert rules([], [kept()]) == ["unsubmitted"]


def test_a_refused_submission():
    """A good one is answered with 202, or told to try again."""
    refused = submitted(is_accepted=False, task_ids=[], answers=["503", "422"])
    assert rules([refused], []) == ["refused", "gave up"]


def test_a_submission_tried_anew():
    """A client without a key that tries again gives up nothing."""
    first = submitted("a", is_accepted=False, task_ids=[], answers=["503"], was_tried_anew=True)
    assert rules([first, submitted("b")], [kept("b")]) == []


def test_a_completed_task_that_never_started():
    """Something ran it at least once."""
    assert rules([submitted()], [kept(entry=entry(attempts=0))]) == ["attempts"]


def test_a_task_that_ran_after_its_end():
    """A start long after the end is wrong; one that a stopped process may still make is not."""
    late = kept(runs=[Run(2, END + timedelta(seconds=20), "e")])
    assert rules([submitted()], [late], longest_stop_s=6) == ["ran again"]
    assert rules([submitted()], [late], longest_stop_s=16) == []


@pytest.mark.parametrize(("died_after_s", "found"), [(10, []), (-60, ["ran again"])])
def test_a_broker_that_forgot_an_end(died_after_s, found):
    """One that dies after a task's end may deliver it again; a death long before explains none."""
    late = kept(runs=[Run(1, END + timedelta(seconds=20), "e")])
    deaths = [END + timedelta(seconds=died_after_s)]
    assert rules([submitted()], [late], broker_deaths=deaths) == found


def test_a_seed_that_gives_two_answers():
    """The same circuit and seed give the same counts."""
    one, two = submitted("a", kind="seeded"), submitted("b", kind="seeded")
    first = kept("a", entry=entry("a", result={"0000": 128, "1111": 128}))
    second = kept("b", entry=entry("b", result={"0000": 127, "1111": 129}))
    assert rules([one, two], [first, second]) == ["seed"]
