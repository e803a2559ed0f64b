"""Shows what a run came to: a line for what is odd, counts for the rest, everything as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from tests.chaos.check import Violation
from tests.chaos.facts import Facts, Kept
from tests.chaos.faults import Struck
from tests.chaos.plan import Plan

_MOST_SHOWN = 60


def lines(facts: Facts, violations: list[Violation]) -> Iterator[str]:
    """Yield the report: tasks worth a line, then what the rest has in common, then the verdict."""
    bad = {violation.who for violation in violations}
    odd = [kept for kept in facts.kept.values() if _is_odd(kept) or kept.task_id in bad]
    yield f"tasks delivered more than once, or odd ({len(odd)}):"
    yield from _some(_line(kept) for kept in odd)
    yield from _counts(facts)
    yield f"violations ({len(violations)}):" if violations else "no violations:"
    yield from _some(f"  {violation}" for violation in violations)
    yield "FAILED" if violations else "nothing lost, nothing doubled, nothing stuck or mixed up"


def write(path: Path, plan: Plan, struck: list[Struck], facts: Facts, bad: list[Violation]) -> None:
    """Write all that is known as JSON."""
    document = {
        "plan": asdict(plan),
        "faults": [asdict(one) for one in struck],
        "facts": asdict(facts),
        "violations": [asdict(one) for one in bad],
    }
    path.write_text(json.dumps(document, indent=1, default=str))


def _is_odd(kept: Kept) -> bool:
    return kept.deliveries > 1 or len(kept.results) != 1 or len(kept.finals) != 1


def _line(kept: Kept) -> str:
    runs = ", ".join(f"{run.attempt} on {run.executor}" for run in kept.runs)
    attempts = kept.entry.get("attempts") if kept.entry else None
    return (
        f"  {kept.task_id}: {kept.status}, deliveries {kept.deliveries}, attempts {attempts}, "
        f"results {len(kept.results)}, final events {len(kept.finals)}; ran: {runs or 'unheard'}"
    )


def _counts(facts: Facts) -> Iterator[str]:
    submitted, kept = facts.submitted, facts.kept.values()
    yield f"submissions by door: {_table(one.door for one in submitted)}"
    yield f"  accepted:          {_table(one.door for one in submitted if one.is_accepted)}"
    yield f"  answers:           {_table(answer for one in submitted for answer in one.answers)}"
    yield f"  cancels answered:  {_table(one.cancel for one in submitted if one.is_cancel_asked)}"
    yield f"  read as:           {_table(read for one in submitted for read in one.reads)}"
    yield f"final states:        {_table(one.status for one in kept)}"
    yield f"deliveries per task: {_table(one.deliveries for one in kept)}"
    yield f"started when final:  {sum(map(_ran_when_final, kept))}"
    yield f"results per task:    {_table(len(one.results) for one in kept)}"
    yield f"final events stored: {_table(len(one.finals) for one in kept)}"
    yield f"final events heard:  {_table(len(one.heard) for one in kept)}"


def _ran_when_final(kept: Kept) -> bool:
    """Whether it was started after its end, by two executors at once or by a forgetful broker."""
    if kept.entry is None:
        return False
    end = datetime.fromisoformat(kept.entry["finished_at"])
    return any(run.at > end for run in kept.runs)


def _table(values: Iterable[object]) -> str:
    counted = sorted(Counter(map(str, values)).items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{value}: {count}" for value, count in counted) or "-"


def _some(texts: Iterable[str]) -> Iterator[str]:
    every = list(texts)
    yield from every[:_MOST_SHOWN]
    if len(every) > _MOST_SHOWN:
        yield f"  … and {len(every) - _MOST_SHOWN} more; --report FILE has all"
