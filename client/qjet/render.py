"""Shows tasks to people: counts as a table with bars, errors with their place."""

from typing import Final

from msgspec import UNSET
from rich.console import Console
from rich.table import Table

from qjet_shared.messages.task import Expectation, Task

_MOST_ROWS: Final = 20
_BAR_WIDTH: Final = 30
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


def show_task(task: Task, console: Console) -> None:
    """Print a task: its counts, its error, or where it is."""
    if task.error:
        _show_error(task, console)
        return
    if task.expectation_values is not UNSET:
        _show_values(task, task.expectation_values, console)
    if isinstance(task.result, dict):
        _show_counts(task, task.result, console)
    elif task.result is not None:
        _show_sweep(task, task.result, console)
    elif task.expectation_values is UNSET:
        text = f"{task.task_id}  {task.status}  {task.message}"
        console.print(text, markup=False, emoji=False, highlight=False)


def _show_values(
    task: Task, values: tuple[Expectation | tuple[Expectation, ...], ...], console: Console
) -> None:
    """Print expectation values; of a sweep, a row for each point."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    is_sweep = not isinstance(values[0], Expectation)
    table.add_column("point" if is_sweep else "observable", justify="right")
    table.add_column("expectation values" if is_sweep else "expectation value")
    for number, found in enumerate(values[:_MOST_ROWS]):
        listed = (found,) if isinstance(found, Expectation) else found
        text = "  ".join(f"{each.value:+.6f} ± {each.standard_error:.6f}" for each in listed)
        table.add_row(str(number), text)
    console.print(table, highlight=False)
    if len(values) > _MOST_ROWS:
        console.print(f"… and {len(values) - _MOST_ROWS} more", style="dim")
    if task.result is None:
        _show_summary(f"error of {task.shots} shots", task, console)


def _show_sweep(task: Task, sweep: tuple[dict[str, int], ...], console: Console) -> None:
    """Print the likeliest outcome at each point."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("point", justify="right")
    table.add_column("likeliest", overflow="fold")
    table.add_column("share", justify="right")
    table.add_column("")
    for number, counts in enumerate(sweep[:_MOST_ROWS]):
        outcome = max(counts, key=lambda key: (counts[key], key))
        share = counts[outcome] / sum(counts.values())
        table.add_row(str(number), outcome, f"{share:.1%}", _bar(share))
    console.print(table, highlight=False)
    if len(sweep) > _MOST_ROWS:
        console.print(f"… and {len(sweep) - _MOST_ROWS} more points", style="dim")
    _show_summary(f"{len(sweep)} points of {sum(sweep[0].values())} shots", task, console)


def _show_counts(task: Task, counts: dict[str, int], console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("outcome", overflow="fold")
    table.add_column("count", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    total = sum(counts.values())
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    largest = rows[0][1]
    for outcome, count in rows[:_MOST_ROWS]:
        table.add_row(outcome, str(count), f"{count / total:.1%}", _bar(count / largest))
    console.print(table, highlight=False)
    if len(rows) > _MOST_ROWS:
        console.print(f"… and {len(rows) - _MOST_ROWS} more outcomes", style="dim")
    _show_summary(f"{total} shots", task, console)


def _show_summary(what: str, task: Task, console: Console) -> None:
    timings = task.timings
    seconds = f", {timings.simulate + timings.count:.3f} s" if timings else ""
    console.print(
        f"{what}, method {task.method}{seconds}, task {task.task_id}",
        style="dim",
        highlight=False,
        soft_wrap=True,
    )


def _show_error(task: Task, console: Console) -> None:
    if task.error is None:
        return
    line, column = task.error.line, task.error.column
    place = f" (line {line}{f', column {column}' if column else ''})" if line else ""
    console.print(f"[red]{task.error.code}[/red]{place}: ", end="", highlight=False)
    console.print(task.error.message, markup=False, emoji=False, highlight=False)
    if task.error.hint:
        console.print(task.error.hint, style="dim", markup=False, emoji=False, highlight=False)


def _bar(share: float) -> str:
    """Draw `share` of the full width in eighths of a character."""
    eighths = round(share * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
