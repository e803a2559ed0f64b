"""Tasks over HTTP against two plain loops, on the same circuits, on the same cores.

`AerSimulator()` as it is takes all cores in each of the two processes, which disturb one another;
kept to one thread each they are faster on small circuits. Both are measured.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, count, islice, product
from typing import Any

from msgspec import Struct

from tests.bench import plain
from tests.bench.circuits import MIX_SIZE, sources
from tests.bench.frame import Found, Line, Options, Row, Target, alternate, figures_of
from tests.bench.load import Done, closed_loop, closed_loop_of_batches, submissions
from tests.bench.processes import CpuMeter
from tests.bench.stacks import fresh_stack
from tests.support.stack import RunningStack

LOOPS = 2
SETTINGS = {"as_is": "AerSimulator()", "one_thread": "one thread each"}
CLIENTS = 64
BATCHES = 8
WAYS = {"qjet": "one by one", "batches": "in batches"}


class Contest(Struct, frozen=True):
    """Which circuits, and how many times as many as the plain loops are aimed at.

    Where circuits differ much in cost, each side does whole sets of them instead of as many as it
    can in a time.
    """

    title: str
    kind: str
    target: float
    is_by_set: bool = False
    batch: int = 100


CONTESTS = {
    "bell": Contest("the same Bell, 1,024 shots, over HTTP", "bell", 5),
    "angles": Contest("two-qubit circuits with other angles each time", "angles", 4),
    "mix": Contest("a mix of circuits, each different", "mix", 10, is_by_set=True, batch=10),
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
            qjet=partial(_qjet, contest, options, stack, partial(closed_loop, clients=CLIENTS)),
            batches=partial(
                *(_qjet, contest, options, stack),
                partial(closed_loop_of_batches, clients=BATCHES, size=contest.batch),
            ),
        )
    return Found(lines=list(_lines(contest, rounds)), rounds=rounds)


def _lines(contest: Contest, rounds: list[Any]) -> Iterator[Line]:
    target = Target(">=", contest.target)
    rates = {side: figures_of(rounds, side, "rate") for side in (*WAYS, *SETTINGS)}
    for (way, name), (side, setting) in product(WAYS.items(), SETTINGS.items()):
        title = f"{contest.title}: {name}, against {LOOPS} plain loops, {setting}"
        figures = [ours / theirs for ours, theirs in zip(rates[way], rates[side], strict=True)]
        yield Line(title=title, unit="×", figures=figures, target=target)
    for way, name in WAYS.items():
        yield Line(title=f"  qjet, {name}", unit="1/s", figures=rates[way])
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


def _qjet(
    contest: Contest,
    options: Options,
    stack: RunningStack,
    load: Callable[..., Done],
    number: int,
) -> Any:
    """Return how many tasks a second were submitted and awaited, and what each process took."""
    meter = CpuMeter(stack.process.pid)
    work = submissions(_work(contest, options, f"qjet {number} {load}"))
    seconds = float("inf") if contest.is_by_set else options.seconds
    done = load(stack.http, work, seconds=seconds)
    cpu_ms = {name: 1000 * taken / done.tasks for name, taken in meter.taken().items()}
    return {"rate": done.rate, "tasks": done.tasks, "cpu_ms_per_task": cpu_ms}


def _work(contest: Contest, options: Options, seed: str) -> Any:
    """Return circuits without end, or as many sets as keep the system busy for some seconds."""
    kind = _kind(contest, options)
    if not contest.is_by_set:
        return sources(kind, seed)
    sets = options.size(4, 1)
    seeds = (f"{seed} {each}" for each in islice(count(), sets))
    return chain.from_iterable(islice(sources(kind, each), _set(options)) for each in seeds)


ROWS = [Row(name=name, measure=partial(measure, contest)) for name, contest in CONTESTS.items()]
