"""The same Bell over HTTP against a FastAPI + Celery + Redis service of the same function.

That service has no long poll: its clients ask again, less and less often under load, and every few
milliseconds where one task is timed.
"""

import asyncio
import time
from functools import partial
from itertools import repeat
from typing import Any

import uvloop

from qjet_shared.messages.submission import BELL_QASM
from tests.bench.celery_service.running import celery_service, lacks
from tests.bench.connection import Connection
from tests.bench.frame import Found, Line, Options, Row, alternate, figures_of
from tests.bench.load import SHOTS, Submission, check, closed_loop, submissions, submit
from tests.bench.rows.latency import latencies_ms, percentiles
from tests.bench.rows.loops import CLIENTS
from tests.bench.stacks import fresh_stack

CELERY_CLIENTS = 16
"""More only ask more often: with two workers, sixteen keep them busy."""

_OFTEN_S, _SELDOM_S, _GROWTH = 0.002, 0.2, 1.5


def measure(options: Options) -> Found:
    """Keep both up, and alternate: throughput first, then single tasks."""
    if missing := lacks():
        raise SystemExit(f"the row celery cannot run: {missing}")
    with fresh_stack() as stack, celery_service() as url:
        _celery_rate(url, 2.0, 0)
        rounds = alternate(
            options.rounds,
            celery=partial(_celery, url, options),
            qjet=partial(_qjet, stack.http, options),
        )
    return Found(
        lines=[
            _line(rounds, "against FastAPI + Celery (2 workers) + Redis, the same Bell", "rate"),
            *(_plain_line(rounds, side, "rate", "tasks/s") for side in ("qjet", "celery")),
            _line(rounds, "against the same, one task on an idle system, p50", "p50"),
            *(_plain_line(rounds, side, "p50", "ms") for side in ("qjet", "celery")),
        ],
        rounds=rounds,
    )


def _line(rounds: list[Any], title: str, figure: str) -> Line:
    """Return how many times better qjet is: more of a rate, less of a time."""
    ours, theirs = (figures_of(rounds, side, figure) for side in ("qjet", "celery"))
    if figure == "p50":
        ours, theirs = theirs, ours
    figures = [one / other for one, other in zip(ours, theirs, strict=True)]
    return Line(title=title, unit="×", figures=figures)


def _plain_line(rounds: list[Any], side: str, figure: str, unit: str) -> Line:
    return Line(title=f"  {side}", unit=unit, figures=figures_of(rounds, side, figure))


def _qjet(url: str, options: Options, number: int) -> dict[str, Any]:
    work = submissions(repeat(BELL_QASM))
    done = closed_loop(url, work, clients=CLIENTS, seconds=options.seconds)
    return {"rate": done.rate, **latencies_ms(url, options.size(100, 10))}


def _celery(url: str, options: Options, number: int) -> dict[str, Any]:
    rate = _celery_rate(url, options.seconds, number)
    milliseconds = uvloop.run(_each_ms(url, options.size(100, 10)))
    return {"rate": rate, **percentiles(milliseconds)}


def _celery_rate(url: str, seconds: float, _: int) -> float:
    return uvloop.run(_rate(url, seconds))


async def _rate(url: str, seconds: float) -> float:
    start = time.perf_counter()

    async def client() -> int:
        done = 0
        async with Connection(url) as connection:
            while time.perf_counter() - start < seconds:
                await _run_task(connection, growth=_GROWTH)
                done += 1
        return done

    counts = await asyncio.gather(*(client() for _ in range(CELERY_CLIENTS)))
    return sum(counts) / (time.perf_counter() - start)


async def _each_ms(url: str, tasks: int) -> list[float]:
    found = []
    async with Connection(url) as connection:
        for _ in range(tasks):
            start = time.perf_counter()
            await _run_task(connection, growth=1)
            found.append(1000 * (time.perf_counter() - start))
    return found


async def _run_task(connection: Connection, growth: float) -> None:
    """Submit Bell, ask until it is done, with pauses that grow, and check it."""
    task_id = await submit(connection, {"qc": BELL_QASM})
    pause_s, task = _OFTEN_S, {"status": "pending"}
    while task["status"] == "pending":
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * growth, _SELDOM_S)
        task = (await connection.get(f"/tasks/{task_id}")).json()
    asked: Submission = {"shots": SHOTS}
    check(task, asked)


ROWS = [Row(name="celery", measure=measure, is_extra=True)]
