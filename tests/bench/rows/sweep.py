"""A sweep in one task against reading and running a program for each of its points."""

import math
import time
from functools import partial
from random import Random
from typing import Any

from tests.bench import plain
from tests.bench.circuits import swept
from tests.bench.frame import Found, Line, Options, Row, Target, alternate, figures_of
from tests.bench.load import SHOTS, run_one
from tests.bench.stacks import fresh_stack

POINTS = 200
QUBITS = 5
NAMES = ("alpha", "beta")


def measure(options: Options) -> Found:
    """Alternate both, with other points each round."""
    points = options.size(POINTS, POINTS // 10)
    with fresh_stack() as stack, plain.Workers() as workers:
        qjet = partial(_qjet, stack.http, points)
        qjet(-1)
        rounds = alternate(options.rounds, plain=partial(_plain, workers, points), qjet=qjet)
    ours, theirs = (figures_of(rounds, side, "seconds") for side in ("qjet", "plain"))
    title = f"a sweep of {points} points over HTTP: against reading and running each"
    figures = [their / our for our, their in zip(ours, theirs, strict=True)]
    return Found(
        lines=[
            Line(title=title, unit="×", figures=figures, target=Target(">=", 50)),
            Line(title="  the sweep", unit="s", figures=ours),
        ],
        rounds=rounds,
    )


def _points(side: str, points: int, number: int) -> list[dict[str, float]]:
    chance = Random(f"{side} {number}")
    return [{name: chance.uniform(0, math.pi) for name in NAMES} for _ in range(points)]


def _qjet(url: str, points: int, number: int) -> Any:
    """Run the sweep as one task; its program is a new one, too."""
    declared = "".join(f"input float {name};\n" for name in NAMES)
    submission = {
        "qc": swept(QUBITS, NAMES, declared, salt=number + 2),
        "shots": SHOTS,
        "parameters": _points("qjet", points, number),
    }
    task, seconds = run_one(url, submission)
    return {"seconds": seconds, "timings": task["timings"]}


def _plain(workers: plain.Workers, points: int, number: int) -> Any:
    values = [tuple(map(repr, point.values())) for point in _points("plain", points, number)]
    sources = [swept(QUBITS, angles, "", salt=number + 2) for angles in values]
    return {"seconds": workers.call(all_s, sources)}


def all_s(sources: list[str]) -> float:
    """Return the seconds of reading and running each program in one plain loop."""
    start = time.perf_counter()
    found = [plain.run_once(source) for source in sources]
    seconds = time.perf_counter() - start
    if any(sum(counts.values()) != SHOTS for counts in found):
        raise RuntimeError("counts do not sum to the shots")
    return seconds


ROWS = [Row(name="sweep", measure=measure)]
