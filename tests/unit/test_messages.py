"""The messages: what they mean and how they look as JSON."""

from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest

from qjet_shared.clock import utc_now
from qjet_shared.messages.answers import Accepted, Problem
from qjet_shared.messages.notices import Event
from qjet_shared.messages.submission import Submission
from qjet_shared.messages.task import (
    FINAL_STATUSES,
    ErrorCode,
    Status,
    StoredState,
    Task,
    TaskError,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("status", "is_final"),
    [
        ("pending", False),
        ("running", False),
        ("completed", True),
        ("error", True),
        ("cancelled", True),
    ],
)
def test_three_of_five_states_are_final(status, is_final):
    """Completed, error and cancelled never change again."""
    assert Task(task_id="t", status=status, message="").is_final is is_final


def test_the_states_are_those_of_the_contract():
    """No more and no fewer than documented."""
    assert set(get_args(Status)) == {"pending", "running"} | FINAL_STATUSES


def test_the_error_codes_are_those_of_the_contract():
    """Clients switch on them."""
    assert set(get_args(ErrorCode)) == {
        "qasm_syntax",
        "qasm_unsupported",
        "no_measurements",
        "invalid_option",
        "too_many_qubits",
        "memory_limit",
        "time_limit",
        "simulation_failed",
        "sandbox_crashed",
        "delivery_exhausted",
    }


def test_an_accepted_task_answers_as_documented():
    """`task_id` and `message`, word for word."""
    assert msgspec.to_builtins(Accepted(task_id="t")) == {
        "task_id": "t",
        "message": "Task submitted successfully.",
    }


def test_a_finished_task_reads_back_as_the_state_services_look_at():
    """`StoredState` reads any final `Task`, and ignores the rest."""
    now = utc_now()
    task = Task(task_id="t", status="completed", message="", result={"0": 1}, finished_at=now)
    state = msgspec.json.decode(msgspec.json.encode(task), type=StoredState)
    assert (state.task_id, state.status, state.finished_at) == ("t", "completed", now)


def test_a_running_task_is_no_stored_state():
    """Only final states stand in the bucket."""
    data = msgspec.json.encode(Task(task_id="t", status="running", message=""))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data, type=StoredState)


def test_memory_is_absent_unless_asked_for():
    """A task without per-shot outcomes has no such member; one with them has."""
    task = Task(task_id="t", status="completed", message="")
    assert "memory" not in msgspec.to_builtins(task)
    with_memory = msgspec.structs.replace(task, memory=("0", "1"))
    assert msgspec.to_builtins(with_memory)["memory"] == ("0", "1")


def test_an_errors_unknown_place_is_left_out():
    """No `null` line where none is known."""
    error = TaskError(code="no_measurements", message="m")
    assert msgspec.to_builtins(error) == {"code": "no_measurements", "message": "m"}


def test_a_problem_without_fields_has_no_errors_member():
    """`errors` is for validation."""
    problem = Problem(type="t", title="t", status=404, detail="d", code="not_found")
    assert "errors" not in msgspec.to_builtins(problem)


def test_times_are_rfc_3339_in_utc():
    """With a `Z`, as dashboards expect."""
    event = Event(task_id="t", status="running", at=datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert b'"at":"2025-01-02T03:04:05Z"' in msgspec.json.encode(event)
    assert utc_now().tzinfo is UTC


def test_messages_cannot_be_changed():
    """They are facts."""
    with pytest.raises(AttributeError):
        Submission(qc="x").shots = 5
