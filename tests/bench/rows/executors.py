"""Two executors against one, each with one circuit at a time, on circuits of 20 ms and more."""

from functools import partial
from itertools import count
from random import Random
from statistics import median
from typing import Any

import uvloop

from tests.bench.circuits import layers
from tests.bench.connection import Connection
from tests.bench.frame import Found, Line, Options, Row, Target, alternate, figures_of
from tests.bench.load import closed_loop, run_task, submissions
from tests.bench.stacks import fresh_stack

CLIENTS = 16
SHAPES = {"short": (14, 12), "long": (16, 16)}
"""Qubits and layers: some 25 ms and some 100 ms on a core."""
PROBES = 6


def measure(options: Options) -> Found:
    """Keep both stacks up, and load one after the other."""
    lines, rounds = [], []
    settings: dict[str, Any] = {"sandboxes": 1, "sandbox_threads": 1}
    with fresh_stack(**settings) as one, fresh_stack("--executors", "2", **settings) as two:
        for name, shape in options.size(SHAPES, {"short": SHAPES["short"]}).items():
            sides = {
                side: partial(_rate, stack.http, f"{name} {side}", shape, options.seconds)
                for side, stack in (("one", one), ("two", two))
            }
            found = alternate(options.rounds, **sides)
            lines += _lines(found)
            rounds += [{"shape": name, **each} for each in found]
    return Found(lines=lines, rounds=rounds)


def _lines(rounds: list[Any]) -> list[Line]:
    one, two = (figures_of(rounds, side, "rate") for side in ("one", "two"))
    task_ms = 1000 * median(each["one"]["task_s"] for each in rounds)
    return [
        Line(
            title=f"two executors against one, circuits of {task_ms:.0f} ms",
            unit="×",
            figures=[more / less for more, less in zip(two, one, strict=True)],
            target=Target(">=", 1.8),
        ),
        Line(title="  one executor", unit="tasks/s", figures=one),
    ]


def _rate(url: str, seed: str, shape: tuple[int, int], seconds: float, number: int) -> Any:
    """Return tasks a second, and how long the executor has one of them, alone on the system."""
    chance = Random(f"{seed} {number}")
    sources = (layers(*shape, chance) for _ in count())
    work = submissions(sources)
    task_s = median(uvloop.run(_alone(url, work)))
    done = closed_loop(url, work, clients=CLIENTS, seconds=seconds)
    return {"rate": done.rate, "tasks": done.tasks, "task_s": task_s}


async def _alone(url: str, work: Any) -> list[float]:
    async with Connection(url) as connection:
        tasks = [await run_task(connection, next(work)) for _ in range(PROBES)]
    return [sum(task["timings"].values()) - task["timings"]["queue"] for task in tasks]


ROWS = [Row(name="executors", measure=measure)]
