"""Shows what a bench found: a table for people, JSON for everything else."""

from typing import Any

from rich.table import Table

from tests.bench.frame import Found, Line

_VERDICTS = {True: "[green]met[/]", False: "[red]not met[/]", None: ""}
_COLUMNS = ("min", "median", "max", "unit", "target", "")


def as_json(found: dict[str, Found]) -> dict[str, Any]:
    """Return all rows with their rounds, and each line with its spread and verdict."""
    return {
        name: {"lines": [_line_as_json(line) for line in row.lines], "rounds": row.rounds}
        for name, row in found.items()
    }


def _line_as_json(line: Line) -> dict[str, Any]:
    spread, target = line.spread, line.target
    return {
        "title": line.title.strip(),
        "unit": line.unit,
        "min": spread.min,
        "median": spread.median,
        "max": spread.max,
        "figures": line.figures,
        "target": target and {"sign": target.sign, "bound": target.bound},
        "is_met": line.is_met,
    }


def table(found: dict[str, Found], title: str) -> Table:
    """Lay out all lines, with target and verdict beside the figures they are for."""
    shown = Table(title=title)
    shown.add_column("what")
    for column in _COLUMNS:
        shown.add_column(column, justify="right", no_wrap=True)
    for row in found.values():
        for line in row.lines:
            shown.add_row(*_cells(line), end_section=line is row.lines[-1])
    return shown


def _cells(line: Line) -> tuple[str, ...]:
    spread = line.spread
    figures = (rounded(value) for value in (spread.min, spread.median, spread.max))
    target = f"{line.target.sign} {line.target.bound:g}" if line.target else ""
    return (line.title, *figures, line.unit, target, _VERDICTS[line.is_met])


def rounded(value: float) -> str:
    """Write a figure with three digits, more only where it is larger."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
