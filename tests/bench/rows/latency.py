"""How long one task takes on an idle system, from its submission to its counts."""

import statistics
import time
from typing import Any

import uvloop

from qjet_shared.messages.submission import BELL_QASM
from tests.bench.connection import Connection
from tests.bench.frame import Found, Line, Options, Row, Target, alternate, figures_of
from tests.bench.load import SHOTS, run_task
from tests.bench.stacks import fresh_stack

SUBMISSION = {"qc": BELL_QASM, "shots": SHOTS}
TARGETS = {"p50": Target("<=", 5), "p99": Target("<=", 15)}


def measure(options: Options) -> Found:
    """Time single tasks, one after the other, in rounds."""
    tasks = options.size(200, 20)
    with fresh_stack() as stack:
        latencies_ms(stack.http, tasks)
        rounds = alternate(options.rounds, qjet=lambda _: latencies_ms(stack.http, tasks))
    return Found(
        lines=[
            Line(
                title=f"one task on an idle system, over HTTP, awaited by ?wait=: {name}",
                unit="ms",
                figures=figures_of(rounds, "qjet", name),
                target=target,
            )
            for name, target in TARGETS.items()
        ],
        rounds=rounds,
    )


def latencies_ms(url: str, tasks: int) -> dict[str, Any]:
    """Return percentiles of the milliseconds that tasks take one by one, and all of them."""
    return percentiles(uvloop.run(_each_ms(url, tasks)))


def percentiles(milliseconds: list[float]) -> dict[str, Any]:
    """Return the median, the 99th percentile, and what they were taken from."""
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"p50": cuts[49], "p99": cuts[98], "all": milliseconds}


async def _each_ms(url: str, tasks: int) -> list[float]:
    found = []
    async with Connection(url) as connection:
        for _ in range(tasks):
            start = time.perf_counter()
            await run_task(connection, SUBMISSION)
            found.append(1000 * (time.perf_counter() - start))
    return found


ROWS = [Row(name="latency", measure=measure)]
