"""Judges a run by its facts. Pure: no input or output, so that it can be tested itself.

Every rule here can be proved from the public guarantees; what only looks odd is left to the
report.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.chaos.circuits import Circuit, circuit
from tests.chaos.facts import FINAL_STATUSES, Facts, Kept, Submitted

_REACTION_S = 5.0
"""How long a process that went on after a stop may act on what it knew before."""

_OK = 200
_CONFLICT = 409


@dataclass(frozen=True)
class Violation:
    """A broken guarantee: `rule` names it, `who` is a task id or a submission's name."""

    rule: str
    who: str
    text: str

    def __str__(self) -> str:
        """Show it in one line."""
        return f"{self.rule}: {self.who}: {self.text}"


def check(facts: Facts) -> list[Violation]:
    """Return every violation."""
    tasks_of = facts.tasks_of()
    found: list[Violation] = []
    claimed: set[str] = set()
    for submitted in facts.submitted:
        tasks = tasks_of.get(submitted.name, [])
        claimed |= {task.task_id for task in tasks}
        found += _check_client(submitted, facts)
        found += _check_number(submitted, tasks)
        for kept in tasks:
            found += _check_task(submitted, kept, facts)
    found += [
        Violation("unsubmitted", task_id, f"nobody submitted this task, yet it is {kept.status}")
        for task_id, kept in facts.kept.items()
        if task_id not in claimed and not _is_a_cut_off_task(kept)
    ]
    found += _check_twins(facts, tasks_of)
    if not facts.is_settled:
        found.append(Violation("stuck", "QJET_TASKS", "work is left, and nothing moves"))
    if facts.overwritten:
        text = f"{facts.overwritten} entries were replaced or removed"
        found.append(Violation("overwritten", "qjet-results", text))
    return found


def _is_a_cut_off_task(kept: Kept) -> bool:
    """Whether only live events speak of a task: its submission was announced, but not stored."""
    return not (kept.waiting or kept.results or kept.entry or kept.finals or kept.heard)


def _check_client(submitted: Submitted, facts: Facts) -> Iterator[Violation]:
    """What one client was told has to fit together, and to what is stored."""
    name = submitted.name
    for answer in submitted.answers:
        if answer.isdigit() and answer not in {"202", "429", "503"}:
            yield Violation("refused", name, f"a good submission was answered {answer}")
    is_final_try = not submitted.was_tried_anew and submitted.door not in {"half", "hangup"}
    if is_final_try and not submitted.is_accepted:
        yield Violation("gave up", name, f"never accepted: {', '.join(submitted.answers)}")
    if submitted.is_accepted:
        for task_id in submitted.task_ids:
            if task_id not in facts.kept:
                yield Violation("lost", task_id, f"accepted as {name}, and nowhere to be found")


def _check_number(submitted: Submitted, tasks: list[Kept]) -> Iterator[Violation]:
    """A submission makes one task, a half one makes none."""
    ids = sorted({*submitted.task_ids, *(task.task_id for task in tasks)})
    if len(ids) > 1:
        yield Violation("two tasks", submitted.name, f"one {submitted.door} submission, {ids}")
    if submitted.door == "half" and ids:
        yield Violation("half a request", submitted.name, f"became {ids}")


def _check_task(submitted: Submitted, kept: Kept, facts: Facts) -> Iterator[Violation]:
    """Everything about one task."""
    yield from _check_final(submitted, kept)
    yield from _check_once(kept)
    if kept.entry is not None:
        yield from _check_state(submitted, kept, kept.entry)
        yield from _check_reads(submitted, kept.entry["status"])
        yield from _check_cancel(submitted, kept.entry["status"])
        yield from _check_runs(kept, kept.entry, facts)


def _check_final(submitted: Submitted, kept: Kept) -> Iterator[Violation]:
    """What is on disk reaches a final state and leaves the queue."""
    if kept.waiting:
        yield Violation("stuck", kept.task_id, f"still {kept.waiting} times in the work queue")
    is_on_disk = submitted.is_accepted or kept.waiting or kept.results or kept.finals
    if is_on_disk and kept.entry is None:
        rule = "stuck" if kept.waiting or kept.results else "lost"
        yield Violation(rule, kept.task_id, "has no entry in the bucket")


def _check_once(kept: Kept) -> Iterator[Violation]:
    """One result, one entry, one final event, heard once at most, all of the same status."""
    if len(kept.results) > 1:
        statuses = [result["status"] for result in kept.results]
        yield Violation("doubled", kept.task_id, f"{len(statuses)} results: {statuses}")
    if len(kept.finals) > 1:
        yield Violation("doubled", kept.task_id, f"final events stored: {kept.finals}")
    if len(kept.heard) > 1:
        yield Violation("doubled", kept.task_id, f"final events heard: {kept.heard}")
    if kept.entry is None:
        return
    if not kept.results:
        yield Violation("lost", kept.task_id, "has an entry, but no result on the stream")
    if not kept.finals:
        yield Violation("lost", kept.task_id, "was never announced")
    told = {result["status"] for result in kept.results} | {*kept.finals, *kept.heard}
    if told - {kept.entry["status"]}:
        text = f"the entry says {kept.entry['status']}, others {sorted(told)}"
        yield Violation("contradiction", kept.task_id, text)


def _check_state(submitted: Submitted, kept: Kept, entry: dict[str, Any]) -> Iterator[Violation]:
    """The final state is the one this circuit has to come to."""
    expected = circuit(submitted.kind, submitted.index)
    status = entry["status"]
    if entry["task_id"] != kept.task_id:
        yield Violation("mixed up", kept.task_id, f"the entry is of {entry['task_id']}")
    if status == "completed" and expected.error is None:
        yield from _check_counts(expected, kept.task_id, entry.get("result") or {})
        if entry.get("attempts", 0) < 1:
            yield Violation("attempts", kept.task_id, "completed, and was never started")
    elif status == "error" and expected.error == (entry.get("error") or {}).get("code"):
        pass
    elif status != "cancelled":
        text = f"a {submitted.kind} task is {status}: {entry.get('error')}"
        yield Violation("wrong state", kept.task_id, text)


def _check_counts(expected: Circuit, task_id: str, counts: dict[str, int]) -> Iterator[Violation]:
    total = sum(counts.values())
    if total != expected.shots:
        yield Violation("counts", task_id, f"{total} counts for {expected.shots} shots")
    if strange := counts.keys() - expected.outcomes:
        text = f"{sorted(strange)[:3]} cannot come out, only {sorted(expected.outcomes)}"
        yield Violation("mixed up", task_id, text)


def _check_reads(submitted: Submitted, status: str) -> Iterator[Violation]:
    for read in submitted.reads:
        if read in FINAL_STATUSES and read != status:
            text = f"was read as {read}, is {status}"
            yield Violation("contradiction", submitted.name, text)
        elif read.isdigit():
            yield Violation("unreadable", submitted.name, f"accepted, and read as {read}")


def _check_cancel(submitted: Submitted, status: str) -> Iterator[Violation]:
    """200 means cancelled, 409 means finished before, and nobody is cancelled unasked."""
    answer, name = submitted.cancel, submitted.name
    if status == "cancelled" and not submitted.is_cancel_asked:
        yield Violation("contradiction", name, "cancelled, and nobody asked for that")
    if answer is None:
        return
    if answer == _OK and status != "cancelled":
        yield Violation("contradiction", name, f"cancelling was answered 200, the task is {status}")
    elif answer == _CONFLICT and status == "cancelled":
        yield Violation("contradiction", name, "cancelling was answered 409, the task is cancelled")
    elif answer not in {_OK, _CONFLICT}:
        yield Violation("unreadable", name, f"accepted, and cancelling was answered {answer}")


def _check_runs(kept: Kept, entry: dict[str, Any], facts: Facts) -> Iterator[Violation]:
    """Once a task is final it is not started again.

    Two runs may overlap when an executor that was stopped goes on: the one that was started first
    may then win, so `attempts` can be lower than the highest attempt heard. And a broker that dies
    may forget that a task was taken out of the queue. What cannot be is a start after the end
    without such a death, later than a process stopped between looking and starting could be.
    """
    end = datetime.fromisoformat(entry["finished_at"])
    since = end - timedelta(seconds=_REACTION_S)
    latest = end + timedelta(seconds=facts.longest_stop_s + _REACTION_S)
    for run in kept.runs:
        is_forgiven = any(since < death < run.at for death in facts.broker_deaths)
        if run.at > latest and not is_forgiven:
            late_s = (run.at - end).total_seconds()
            text = f"attempt {run.attempt} was started {late_s:.1f} s after its end"
            yield Violation("ran again", kept.task_id, text)


def _check_twins(facts: Facts, tasks_of: dict[str, list[Kept]]) -> Iterator[Violation]:
    """Same source, options and seed: the same counts, bit for bit."""
    seen: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for submitted in facts.submitted:
        twin = circuit(submitted.kind, submitted.index).twin
        for kept in tasks_of.get(submitted.name, []):
            if twin and kept.entry and kept.entry["status"] == "completed":
                seen[twin][repr(sorted(kept.entry["result"].items()))].append(kept.task_id)
    for twin, results in seen.items():
        if len(results) > 1:
            yield Violation("seed", twin, f"one seed gave different counts: {dict(results)}")
