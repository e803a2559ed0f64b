"""`make bench`: every speed that qjet aims at, beside what it replaces, in one run.

A row starts what it needs, alternates rounds of both sides on the same cores, and checks every
result. Prints a table and writes a JSON file with every round.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from tests.bench.frame import Found, Options, Row
from tests.bench.machine import describe, versions
from tests.bench.report import as_json, table
from tests.bench.rows import (
    celery,
    executors,
    large,
    latency,
    loops,
    memory,
    reading,
    shots,
    submissions,
    sweep,
)

MODULES = (
    *(loops, reading, shots, large, sweep),
    *(latency, submissions, executors, memory, celery),
)
ROWS: dict[str, Row] = {row.name: row for module in MODULES for row in module.ROWS}
QUICK_ROUNDS = 2
QUICK_SECONDS = 0.5


def main() -> None:
    """Run the rows that were asked for, one by one."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # and so end what it started
    names = arguments.only or [name for name, row in ROWS.items() if not row.is_extra]
    cores = sorted(os.sched_getaffinity(0))[: arguments.cores]
    os.sched_setaffinity(0, cores)
    options = _options(arguments, len(cores))
    console = Console(width=None if os.isatty(1) else 150)
    machine = describe()
    found: dict[str, Found] = {}
    try:
        for name in names:
            console.print(f"{name} …", style="dim")
            found[name] = ROWS[name].measure(options)
    finally:  # a row that fails takes nothing from those before it
        _write(arguments.out, options, machine, found)
        what = "quick, no measurement" if options.is_quick else f"{options.rounds} rounds"
        console.print(table(found, f"{machine['cpu']}, {len(cores)} cores, {what}"))
        console.print(f"every round: {arguments.out}")


def _write(out: Path, options: Options, machine: dict[str, Any], found: dict[str, Found]) -> None:
    document = {
        "options": msgspec.to_builtins(options),
        "machine": {**machine, "load_after": os.getloadavg()},
        "versions": versions(),
        "rows": as_json(found),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench", description=__doc__)
    parser.add_argument("--only", type=_names, help=f"some of: {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="small: to see that all of it works")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="length of a round")
    parser.add_argument("--tasks", type=int, default=50_000, help="tasks of the memory row")
    parser.add_argument("--cores", type=int, default=2, help="cores for everything together")
    parser.add_argument("--out", type=Path, default=Path("bench-results/bench.json"))
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - ROWS.keys():
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(sorted(unknown))}")
    return names


def _options(arguments: argparse.Namespace, cores: int) -> Options:
    """Take what was given, and for the rest what suits a full or a quick run."""
    usual = Options()
    is_quick = arguments.quick
    return Options(
        rounds=arguments.rounds or (QUICK_ROUNDS if is_quick else usual.rounds),
        seconds=arguments.seconds or (QUICK_SECONDS if is_quick else usual.seconds),
        tasks=arguments.tasks,
        is_quick=is_quick,
        cores=cores,
    )


if __name__ == "__main__":
    main()
