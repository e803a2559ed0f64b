"""Tasks over HTTP against two plain loops, on the same circuits, on the same cores."""

from functools import partial
from itertools import chain, count, islice
from typing import Any

from msgspec import Struct

from tests.bench import plain
from tests.bench.circuits import MIX_SIZE, sources
from tests.bench.frame import Found, Line, Options, Row, Target, alternate, figures_of
from tests.bench.load import closed_loop, submissions
from tests.bench.processes import CpuMeter
from tests.bench.stacks import fresh_stack

LOOPS = 2
CLIENTS = 64


class Contest(Struct, frozen=True):
    """Which circuits, and how many times as many as the plain loops are aimed at.

    Where circuits differ much in cost, each side does whole sets of them instead of as many as it
    can in a time.
    """

    title: str
    kind: str
    target: float
    is_by_set: bool = False


CONTESTS = {
    "bell": Contest("the same Bell, 1,024 shots, over HTTP", "bell", 5),
    "angles": Contest("two-qubit circuits with other angles each time", "angles", 4),
    "mix": Contest("a mix of OpenQASM 3 circuits, each different", "mix", 10, is_by_set=True),
}


def measure(contest: Contest, options: Options) -> Found:
    """Alternate rounds of plain loops and of qjet."""
    with fresh_stack() as stack, plain.Workers(LOOPS) as workers:
        warm = submissions(islice(sources("angles", "warm"), 4 * CLIENTS))
        closed_loop(stack.http, warm, clients=CLIENTS)
        rounds = alternate(
            options.rounds,
            plain=partial(_plain, contest, options, workers),
            qjet=partial(_qjet, contest, options, stack.http, stack.process.pid),
        )
    rates = {side: figures_of(rounds, side, "rate") for side in ("plain", "qjet")}
    ratio = [ours / theirs for ours, theirs in zip(rates["qjet"], rates["plain"], strict=True)]
    return Found(
        lines=[
            Line(
                title=f"{contest.title}: against {LOOPS} plain loops",
                unit="×",
                figures=ratio,
                target=Target(">=", contest.target),
            ),
            Line(title="  qjet", unit="tasks/s", figures=rates["qjet"]),
            Line(title="  plain loops, together", unit="circuits/s", figures=rates["plain"]),
        ],
        rounds=rounds,
    )


def _kind(contest: Contest, options: Options) -> str:
    return options.size(contest.kind, "small mix") if contest.is_by_set else contest.kind


def _set(options: Options) -> int:
    return options.size(MIX_SIZE, MIX_SIZE // 4)


def _plain(contest: Contest, options: Options, workers: plain.Workers, number: int) -> Any:
    """Return how many circuits a second the loops did side by side."""
    size = _set(options) if contest.is_by_set else None
    seconds = float("inf") if contest.is_by_set else options.seconds
    kind = _kind(contest, options)
    calls = [(kind, f"plain {number} {each}", size, seconds) for each in range(LOOPS)]
    rates = workers.call_each(plain.loop, calls)
    return {"rate": sum(rates), "each": rates}


def _qjet(contest: Contest, options: Options, url: str, pid: int, number: int) -> Any:
    """Return how many tasks a second were submitted and awaited, and what each process took."""
    meter = CpuMeter(pid)
    work = _work(contest, options, number)
    seconds = float("inf") if contest.is_by_set else options.seconds
    done = closed_loop(url, submissions(work), clients=CLIENTS, seconds=seconds)
    cpu_ms = {name: 1000 * taken / done.tasks for name, taken in meter.taken().items()}
    return {"rate": done.rate, "tasks": done.tasks, "cpu_ms_per_task": cpu_ms}


def _work(contest: Contest, options: Options, number: int) -> Any:
    """Return circuits without end, or as many sets as keep the system busy for some seconds."""
    kind = _kind(contest, options)
    if not contest.is_by_set:
        return sources(kind, f"qjet {number}")
    sets = options.size(4, 1)
    seeds = (f"qjet {number} {each}" for each in islice(count(), sets))
    return chain.from_iterable(islice(sources(kind, seed), _set(options)) for seed in seeds)


ROWS = [Row(name=name, measure=partial(measure, contest)) for name, contest in CONTESTS.items()]
