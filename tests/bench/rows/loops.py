"""Tasks over HTTP against two plain loops, on the same circuits, on the same cores.

`AerSimulator()` as it is takes all cores in each of the two processes, which disturb one another;
kept to one thread each they are faster on small circuits. Both are measured.
"""

from collections.abc import Iterator
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
SETTINGS = {"as_is": "AerSimulator()", "one_thread": "one thread each"}
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
    with (
        fresh_stack() as stack,
        plain.Workers(LOOPS) as as_is,
        plain.Workers(LOOPS, threads=1) as one_thread,
    ):
        warm = submissions(islice(sources("angles", "warm"), 4 * CLIENTS))
        closed_loop(stack.http, warm, clients=CLIENTS)
        rounds = alternate(
            options.rounds,
            as_is=partial(_plain, contest, options, as_is),
            one_thread=partial(_plain, contest, options, one_thread),
            qjet=partial(_qjet, contest, options, stack.http, stack.process.pid),
        )
    return Found(lines=list(_lines(contest, rounds)), rounds=rounds)


def _lines(contest: Contest, rounds: list[Any]) -> Iterator[Line]:
    target = Target(">=", contest.target)
    rates = {side: figures_of(rounds, side, "rate") for side in ("qjet", *SETTINGS)}
    for side, setting in SETTINGS.items():
        title = f"{contest.title}: against {LOOPS} plain loops, {setting}"
        figures = [ours / theirs for ours, theirs in zip(rates["qjet"], rates[side], strict=True)]
        yield Line(title=title, unit="×", figures=figures, target=target)
    yield Line(title="  qjet", unit="1/s", figures=rates["qjet"])
    for side, setting in SETTINGS.items():
        yield Line(title=f"  plain loops, {setting}", unit="1/s", figures=rates[side])


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
