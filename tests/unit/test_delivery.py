"""What becomes of a delivery: the decisions as whole tables, the errors by their words."""

from datetime import timedelta

import msgspec
import pytest

from qjet_executor import delivery as fate
from qjet_executor import outcomes
from qjet_executor.delivery import Delivery, Fate
from qjet_executor.protocol import Outcome, Phases
from qjet_shared.clock import utc_now
from qjet_shared.errors import FieldError, InvalidJsonError
from qjet_shared.messages.submission import Submission
from qjet_shared.messages.task import Attempt, Blob, LargeResult, StoredState, Task

pytestmark = pytest.mark.unit


def delivered(number=1, *, ended=(), **known):
    return Delivery(
        task_id="t",
        number=number,
        lane="default",
        created_at=utc_now() - timedelta(seconds=5),
        history=tuple(
            Attempt(delivery=n, ended=why, at=utc_now(), executor="e")
            for n, why in enumerate(ended, start=1)
        ),
        **known,
    )


HANDED_BACK = ("handed_back",) * 6


@pytest.mark.parametrize(
    ("number", "ended", "max_deliveries", "has_result", "expected"),
    [
        (1, (), 5, False, Fate.RUN),
        (5, (), 5, False, Fate.RUN),
        (6, (), 5, False, Fate.EXHAUSTED),
        (100, (), 5, False, Fate.EXHAUSTED),
        (1, (), 1, False, Fate.RUN),
        (2, (), 1, False, Fate.EXHAUSTED),
        (7, HANDED_BACK, 5, False, Fate.RUN),
        (11, HANDED_BACK, 5, False, Fate.RUN),
        (12, HANDED_BACK, 5, False, Fate.EXHAUSTED),
        (1, (), 5, True, Fate.DROP),
        (6, (), 5, True, Fate.DROP),
        (100, (), 1, True, Fate.DROP),
    ],
)
def test_a_delivery_is_run_dropped_or_given_up(number, ended, max_deliveries, has_result, expected):
    """A known result wins over everything; only deliveries that nobody accounts for are bounded."""
    delivery = delivered(number, ended=ended)
    found = fate.decide(delivery, max_deliveries=max_deliveries, has_result=has_result)
    assert found is expected


@pytest.mark.parametrize(
    ("number", "ended", "attempt"),
    [
        (1, (), 1),
        (4, (), 4),
        (4, ("killed", "not_started", "handed_back"), 3),
        (3, ("not_started", "not_started"), 1),
    ],
)
def test_attempts_are_starts(number, ended, attempt):
    """What went back to the queue unrun was no attempt."""
    assert delivered(number, ended=ended).attempt == attempt


@pytest.mark.parametrize(
    ("reason", "before", "max_attempts", "delay_s"),
    [
        ("killed", (), 5, 0.2),
        ("killed", ("killed",), 5, 1.0),
        ("killed", ("killed",) * 2, 5, 5.0),
        ("killed", ("killed",) * 3, 5, 15.0),
        ("killed", ("killed",) * 4, 5, None),
        ("killed", (), 1, None),
        ("killed", ("killed",) * 8, 10, 15.0),
        ("killed", ("handed_back",) * 8, 5, 0.2),
        ("crashed", (), 5, 0.2),
        ("crashed", ("crashed",), 5, None),
        ("crashed", ("killed",) * 3, 5, 0.2),
        ("crashed", (), 1, None),
    ],
)
def test_after_a_sandbox_died_the_task_waits_longer_each_time(
    reason, before, max_attempts, delay_s
):
    """0.2, 1, 5, then always 15 seconds; what crashes twice will crash again."""
    delivery = delivered(1 + len(before), ended=before)
    assert fate.retry_after_death(delivery, reason, max_attempts=max_attempts) == delay_s


@pytest.mark.parametrize(
    ("number", "known", "expected"),
    [
        (1, {}, False),
        (2, {}, True),
        (1, {"is_named_by_caller": True}, True),
        (1, {"is_moved": True}, True),
        (1, {"digest": "d"}, True),
        (1, {"connected_after": True}, True),
    ],
)
def test_a_result_is_looked_for_where_there_may_be_one(number, known, expected):
    """The first delivery of a name the gateway made cannot have one, and saves the look."""
    options = dict(known)
    age = timedelta() if options.pop("connected_after", False) else timedelta(hours=1)
    delivery = delivered(number, **options)
    connected_at = utc_now() - age
    assert fate.may_have_result(delivery, connected_at=connected_at) is expected


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (fate.exhausted(delivered(6)), "delivery_exhausted", "5 times"),
        (fate.time_limit(300.0), "time_limit", "300 seconds"),
        (fate.time_limit(0.25), "time_limit", "0.25 seconds"),
        (fate.sandbox_crashed("It died.", delivered(2)), "sandbox_crashed", "attempt 2"),
        (fate.bad_task_id(), "invalid_option", "128"),
        (fate.refused(InvalidJsonError("Not UTF-8.")), "qasm_syntax", "Not UTF-8."),
        (fate.refused(FieldError([("shots", "too many")])), "invalid_option", "shots: too many"),
    ],
)
def test_each_error_says_what_and_how_often(error, code, says):
    """Typed, in a sentence, with the number that matters."""
    assert error.code == code
    assert says in error.message


@pytest.mark.parametrize(
    "error",
    [
        fate.exhausted(delivered(6)),
        fate.time_limit(1.0),
        fate.sandbox_crashed("x", delivered(5)),
        fate.bad_task_id(),
    ],
)
def test_errors_about_limits_say_what_to_do(error):
    """Each has a hint."""
    assert error.hint


SUBMISSION = Submission(qc="x", shots=3, seed=4, method="stabilizer", tags=("a",), name="n")
OUTCOME = Outcome(
    counts=b'{"0":3}',
    memory=b'["0","0","0"]',
    method="stabilizer",
    phases=Phases(parse=0.1, transpile=0.2, simulate=0.3, count=0.4),
)


def test_a_completed_task_carries_counts_options_and_timings():
    """What was asked for, what came of it, and where the time went."""
    started = utc_now()
    task = outcomes.completed(delivered(), SUBMISSION, OUTCOME, executor="e", started_at=started)
    read = msgspec.json.decode(msgspec.json.encode(task), type=Task)
    assert (read.status, read.result, read.memory) == ("completed", {"0": 3}, ("0", "0", "0"))
    assert (read.shots, read.seed, read.tags, read.name) == (3, 4, ("a",), "n")
    assert read.timings.queue == pytest.approx(5, abs=1)
    assert msgspec.structs.astuple(read.timings)[1:] == (0.1, 0.2, 0.3, 0.4)
    assert read.attempts == 1
    assert read.error is None


def test_clocks_that_disagree_do_not_make_a_negative_wait():
    """A broker's clock may be ahead of the executor's."""
    early = utc_now() - timedelta(hours=1)
    task = outcomes.completed(delivered(), SUBMISSION, OUTCOME, executor="e", started_at=early)
    assert task.timings.queue == 0.0


def test_a_failed_task_shows_its_errors_message():
    """`message` is the reason, for people."""
    error = fate.time_limit(3)
    task = outcomes.failed(delivered(), SUBMISSION, error, executor="e", started_at=utc_now())
    assert (task.status, task.message, task.error) == ("error", error.message, error)


@pytest.mark.parametrize("phases", [Phases(parse=0.1), None])
def test_a_failed_task_says_what_its_sandbox_measured(phases):
    """A sandbox that was ended has said nothing, and then there are no timings."""
    task = outcomes.failed(
        delivered(),
        SUBMISSION,
        fate.time_limit(3),
        executor="e",
        started_at=utc_now(),
        phases=phases,
    )
    assert (task.timings.parse if task.timings else None) == (phases.parse if phases else None)


def test_a_submission_that_could_not_be_read_still_makes_a_task():
    """Without its options, but final."""
    task = outcomes.failed(delivered(), None, fate.bad_task_id(), executor="e", started_at=None)
    assert (task.shots, task.method, task.tags) == (None, None, ())
    assert task.is_final


def test_a_large_result_is_split_and_nothing_is_lost():
    """The entry names the blob; the blob holds counts and memory."""
    task = outcomes.completed(delivered(), SUBMISSION, OUTCOME, executor="e", started_at=utc_now())
    blob = Blob(name="b", size_bytes=1)
    small = msgspec.json.encode(outcomes.without_counts(task, blob))
    assert msgspec.json.decode(small, type=StoredState).blob == blob
    assert msgspec.json.decode(small, type=Task).result is None
    large = msgspec.json.decode(outcomes.large_part(OUTCOME), type=LargeResult)
    assert (bytes(large.result), bytes(large.memory)) == (OUTCOME.counts, OUTCOME.memory)
