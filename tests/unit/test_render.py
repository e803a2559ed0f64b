"""Tasks shown to people."""

import io

import pytest
from rich.console import Console

from qjet.render import show_task
from qjet_shared.messages.task import Expectation, Task, TaskError, Timings

pytestmark = pytest.mark.unit


def shown(width=80, **fields):
    console = Console(file=io.StringIO(), width=width)
    show_task(Task(**{"task_id": "t-1", "status": "completed", "message": "m", **fields}), console)
    return console.file.getvalue()


def rows(text):
    """Return the table's rows: outcome, count, share, bar."""
    return [line.split() for line in text.splitlines() if "%" in line]


def test_counts_are_a_table_with_the_most_frequent_first():
    """Outcome, count, share."""
    found = rows(shown(result={"00": 250, "11": 700, "01": 50}))
    assert [row[:3] for row in found] == [
        ["11", "700", "70.0%"],
        ["00", "250", "25.0%"],
        ["01", "50", "5.0%"],
    ]


def test_equal_counts_are_in_order_of_outcome():
    """So that two runs look alike."""
    assert [row[0] for row in rows(shown(result={"10": 5, "00": 5, "01": 5}))] == ["00", "01", "10"]


def test_bars_are_as_long_as_the_counts():
    """The largest is full, half of it is half as long."""
    bars = [row[3] for row in rows(shown(result={"0": 800, "1": 400}))]
    assert bars == ["█" * 30, "█" * 15]


def test_of_many_outcomes_twenty_are_shown_and_the_rest_counted():
    """A screen, not a book."""
    text = shown(result={f"{n:08b}": 1 for n in range(200)})
    assert len(rows(text)) == 20
    assert "180 more outcomes" in text


def test_shares_are_of_all_shots_not_of_those_shown():
    """1 of 200 is half a per cent."""
    assert rows(shown(result={f"{n:08b}": 1 for n in range(200)}))[0][2] == "0.5%"


def test_of_a_sweep_the_likeliest_outcome_of_each_point_is_shown():
    """In the order of the points, twenty of them."""
    text = shown(result=({"0": 6, "1": 2}, {"0": 2, "1": 6}) * 15, method="statevector")
    assert [row[:3] for row in rows(text)][:2] == [["0", "0", "75.0%"], ["1", "1", "75.0%"]]
    assert len(rows(text)) == 20
    assert "10 more points" in text
    assert "30 points of 8 shots, method statevector" in text


def test_expectation_values_are_shown_with_their_errors():
    """Also where nothing was measured."""
    values = (Expectation(value=0.5, standard_error=0.025), Expectation(value=-1, standard_error=0))
    text = shown(expectation_values=values, shots=100, method="statevector")
    assert "0  +0.500000 ± 0.025000" in text
    assert "1  -1.000000 ± 0.000000" in text
    assert "error of 100 shots, method statevector" in text


def test_expectation_values_of_a_sweep_are_a_row_for_each_point():
    """Twenty of them."""
    values = ((Expectation(value=0.5, standard_error=0.025),) * 2,) * 25
    text = shown(expectation_values=values, shots=100)
    assert text.count("+0.500000 ± 0.025000  +0.500000 ± 0.025000") == 20
    assert "5 more" in text


def test_the_last_line_says_shots_method_time_and_task():
    """Enough to run it again."""
    text = shown(result={"0": 8}, method="stabilizer", timings=Timings(simulate=0.25))
    assert "8 shots, method stabilizer, 0.250 s, task t-1" in text


def test_registers_stay_apart():
    """Keys with spaces are shown with them."""
    assert "01 1" in shown(result={"01 1": 3})


def test_an_outcome_of_two_hundred_bits_is_shown_in_full():
    """It is folded, not cut."""
    text = shown(result={"1" * 200: 3})
    assert text.count("1") >= 200


def test_an_error_says_code_place_message_and_hint():
    """One line a user can act on, and the hint below."""
    error = TaskError(code="qasm_syntax", message="Unexpected '['.", line=7, column=5, hint="Fix.")
    text = shown(status="error", error=error)
    assert "qasm_syntax (line 7, column 5): Unexpected '['." in text
    assert "Fix." in text


def test_an_error_without_a_place_shows_none():
    """No empty brackets."""
    text = shown(status="error", error=TaskError(code="time_limit", message="Too long."))
    assert text.strip() == "time_limit: Too long."


def test_an_error_with_a_line_alone_shows_just_that():
    """A column that is not known is not shown."""
    text = shown(status="error", error=TaskError(code="qasm_syntax", message="m", line=7))
    assert "line 7" in text
    assert "None" not in text


@pytest.mark.parametrize("message", ["[bold]x[/bold]", "q[0] and [red]", "[/]", ":smile:"])
def test_brackets_in_a_message_are_shown_not_interpreted(message):
    """OpenQASM is full of them."""
    assert message in shown(status="error", error=TaskError(code="qasm_syntax", message=message))


@pytest.mark.parametrize("status", ["pending", "running", "cancelled"])
def test_a_task_without_counts_or_error_shows_where_it_is(status):
    """Id, status, message."""
    assert f"t-1  {status}  wait" in shown(status=status, message="wait")


@pytest.mark.parametrize("message", ["Ended at [red]", "see [/x]"])
def test_brackets_in_a_status_message_are_shown_too(message):
    """The same for a task that is not finished."""
    assert message in shown(status="running", message=message)
