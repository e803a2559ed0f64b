"""`make bench-picture`: ratios against their targets, and where a task's time goes, as one picture.

Drawn from the JSON that the bench wrote; the same file gives the same picture, byte by byte.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

from tests.bench.report import rounded

RATIO = "×"
MET, NOT_MET, RANGE = "#2a7f62", "#b3452c", "#9aa5b1"
PROCESSES = {
    "qjet_executor.sandbox": "sandboxes",
    "qjet_executor": "executor",
    "nats-server": "nats-server",
    "qjet_gateway": "gateway",
    "qjet_resultstore": "resultstore",
    "client": "client",
}
COLOURS = ("#30638e", "#4f86b3", "#d1a054", "#5b8e7d", "#8f6593", "#c3c9d0")
TASKS = {"bell": "the same Bell", "angles": "other angles each time"}
SETTINGS = {
    "svg.hashsalt": "qjet",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titleweight": "bold",
}


def main() -> None:
    """Draw what the last bench found."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.picture", description=__doc__)
    parser.add_argument("found", type=Path, nargs="*", default=[Path("bench-results/bench.json")])
    parser.add_argument("--out", type=Path, default=Path("docs/performance.svg"))
    arguments = parser.parse_args()
    rows: dict[str, Any] = {}
    for path in arguments.found:
        rows |= json.loads(path.read_text())["rows"]
    draw(rows, arguments.out)
    print(arguments.out)


def draw(rows: dict[str, Any], out: Path) -> None:
    """Draw both panels into one SVG file."""
    lines = [line for row in rows.values() for line in row["lines"] if _is_ratio(line)]
    with mpl.rc_context(SETTINGS):
        height = 0.8 + 0.44 * len(lines)
        figure, (above, below) = plt.subplots(
            2, 1, figsize=(9, height + 1.7), height_ratios=[height, 1.7], layout="constrained"
        )
        _draw_ratios(above, lines)
        _draw_processes(below, rows)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _is_ratio(line: dict[str, Any]) -> bool:
    return bool(line["unit"] == RATIO)


def _draw_ratios(axes: Any, lines: list[dict[str, Any]]) -> None:
    """Draw each ratio's median and range, with a tick where its target lies."""
    for place, line in enumerate(lines):
        colour = NOT_MET if line["is_met"] is False else MET
        axes.plot([line["min"], line["max"]], [place, place], color=RANGE, linewidth=4)
        axes.plot(line["median"], place, "o", color=colour, zorder=3)
        label, at = rounded(line["median"]), line["max"]
        if target := line["target"]:
            bound = target["bound"]
            axes.plot(bound, place, "|", color="black", markersize=13, markeredgewidth=1.6)
            label, at = f"{label} ({target['sign']} {bound:g})", max(at, bound)
        axes.annotate(label, (at, place), (8, 0), textcoords="offset points", va="center")
        axes.text(0, place - 0.4, line["title"], transform=axes.get_yaxis_transform(), va="center")
    axes.set(xscale="log", xlabel="ratio, median and range of rounds")
    axes.set_ylim(len(lines) - 0.6, -0.8)
    axes.set_yticks([])
    axes.set_title("against what it replaces; the tick is the target", loc="left")
    axes.margins(x=0.2)
    axes.axvline(1, color=RANGE, linewidth=0.8, zorder=0)


def _draw_processes(axes: Any, rows: dict[str, Any]) -> None:
    """Draw the processor time of a task, by process."""
    shown = {label: _cpu_ms(rows[name]) for name, label in TASKS.items() if name in rows}
    ends = dict.fromkeys(shown, 0.0)
    for (process, label), colour in zip(PROCESSES.items(), COLOURS, strict=True):
        widths = [each.get(process, 0.0) for each in shown.values()]
        bars = axes.barh(list(shown), widths, left=list(ends.values()), color=colour, label=label)
        axes.bar_label(bars, [f"{w:.2f}" for w in widths], label_type="center", color="white")
        for task, width in zip(shown, widths, strict=True):
            ends[task] += width
    axes.invert_yaxis()
    axes.set(xlabel="processor milliseconds a task, submitted and awaited over HTTP")
    axes.set_title("where a task's time goes", loc="left")
    if shown:
        axes.legend(
            ncols=len(PROCESSES), loc="upper left", bbox_to_anchor=(-0.02, -0.45), frameon=False
        )


def _cpu_ms(row: dict[str, Any]) -> dict[str, float]:
    """Return the median over the rounds for each process."""
    rounds = [each["qjet"]["cpu_ms_per_task"] for each in row["rounds"]]
    return {
        process: statistics.median(each.get(process, 0.0) for each in rounds)
        for process in PROCESSES
    }


if __name__ == "__main__":
    main()
