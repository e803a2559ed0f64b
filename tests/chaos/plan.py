"""What a run will do, worked out from its seed alone before anything starts.

The same seed and number of tasks give the same tasks, sent at the same times by the same doors,
and the same faults at the same times. What is not determined: which process ids and which running
tasks a fault hits, how long the machine takes, and so who wins each race.
"""

import random
from dataclasses import dataclass
from typing import TypeVar

from tests.chaos import circuits

Card = TypeVar("Card")

TASKS_PER_S = 14.0
SHORTEST_S = 45.0
FAULT_PAUSE_S = 3.5
_FIRST_FAULT_S = 1.0

DOORS = {"plain": 18, "keyed": 10, "nats": 10, "half": 1, "hangup": 1}
"""How tasks come in, and how many of forty: HTTP, HTTP with an Idempotency-Key, a NATS request; a
client that sends half a request, and one that sends a whole one and hangs up."""

FAULTS = {
    ("kill", "sandbox"): 4,
    ("kill", "executor"): 3,
    ("kill", "resultstore"): 2,
    ("kill", "gateway"): 2,
    ("kill", "broker"): 2,
    ("kill", "all"): 1,
    ("hold down", "broker"): 1,
    ("stop", "sandbox"): 1,
    ("stop", "executor"): 2,
    ("stop", "resultstore"): 1,
    ("stop", "gateway"): 1,
    ("stop", "broker"): 1,
    ("term", "executor"): 1,
    ("term", "resultstore"): 1,
    ("term", "gateway"): 1,
    ("term", "broker"): 1,
}
"""What is done to whom, and how often in one deck: `kill` is SIGKILL, `stop` is SIGSTOP and later
SIGCONT, `term` is SIGTERM, `hold down` is SIGKILL whenever it comes back. All is dealt before any
is dealt again."""


@dataclass(frozen=True)
class Sending:
    """One task to send. Times are seconds: `at_s` since the start, the others since the answer."""

    index: int
    at_s: float
    kind: str
    door: str
    gateway: int
    again_after_s: float | None = None
    cancel_after_s: float | None = None
    read_after_s: float | None = None


@dataclass(frozen=True)
class Fault:
    """One fault; `pick`, from 0 to 1, chooses among several victims of the same name."""

    at_s: float
    action: str
    victim: str
    pick: float
    lasts_s: float


@dataclass(frozen=True)
class Plan:
    """Everything a run does on purpose."""

    seed: int
    sendings: tuple[Sending, ...]
    faults: tuple[Fault, ...]


def make_plan(seed: int, tasks: int, *, ack_wait_s: float) -> Plan:
    """Draw the plan; a process is stopped for longer than `ack_wait_s`."""
    duration_s = max(SHORTEST_S, tasks / TASKS_PER_S)
    return Plan(
        seed=seed,
        sendings=_sendings(random.Random(f"{seed}/tasks"), tasks, duration_s),  # noqa: S311
        faults=_faults(random.Random(f"{seed}/faults"), duration_s, ack_wait_s),  # noqa: S311
    )


def _sendings(rng: random.Random, tasks: int, duration_s: float) -> tuple[Sending, ...]:
    times = sorted(rng.uniform(0, duration_s) for _ in range(tasks))
    kinds = _deal(rng, circuits.WEIGHTS, tasks)
    doors = _deal(rng, DOORS, tasks)
    return tuple(
        _sending(rng, index, at_s, kind, door)
        for index, (at_s, kind, door) in enumerate(zip(times, kinds, doors, strict=True))
    )


def _sending(rng: random.Random, index: int, at_s: float, kind: str, door: str) -> Sending:
    is_long = kind in circuits.LONG_KINDS
    return Sending(
        index=index,
        at_s=at_s,
        kind=kind,
        door=door,
        gateway=rng.randrange(2),
        again_after_s=_perhaps(rng, 0.2 if door in {"keyed", "nats"} else 0.0),
        cancel_after_s=_perhaps(rng, 0.35 if is_long else 0.06),
        read_after_s=_perhaps(rng, 0.1),
    )


def _perhaps(rng: random.Random, chance: float) -> float | None:
    """Draw whether to do something and after how long: at once, in the rush, or a while later."""
    wanted = rng.random() < chance
    delay_s = rng.choice((0.0, rng.uniform(0, 0.05), rng.uniform(0, 2.5)))
    return delay_s if wanted else None


def _faults(rng: random.Random, duration_s: float, ack_wait_s: float) -> tuple[Fault, ...]:
    """Draw at least one whole deck, spread evenly with some jitter."""
    number = max(sum(FAULTS.values()), round(duration_s / FAULT_PAUSE_S))
    pause_s = (duration_s - _FIRST_FAULT_S) / number
    return tuple(
        Fault(
            at_s=_FIRST_FAULT_S + (position + rng.random()) * pause_s,
            action=action,
            victim=victim,
            pick=rng.random(),
            lasts_s=ack_wait_s + rng.uniform(1.0, 3.0),
        )
        for position, (action, victim) in enumerate(_deal(rng, FAULTS, number))
    )


def _deal(rng: random.Random, weights: dict[Card, int], number: int) -> list[Card]:
    """Deal from shuffled decks, so that the proportions hold in small numbers too."""
    dealt: list[Card] = []
    while len(dealt) < number:
        deck = [card for card, weight in weights.items() for _ in range(weight)]
        rng.shuffle(deck)
        dealt += deck
    return dealt[:number]
