"""What one executor with two warm sandboxes takes, and whether it grows over many tasks.

Its sandboxes are not replaced meanwhile, so that nothing that they leak is thrown away unseen.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice

import numpy as np

from tests.bench.circuits import sources
from tests.bench.frame import Found, Line, Options, Round, Row, Target
from tests.bench.load import Submission, closed_loop, submissions
from tests.bench.processes import memory_mib, tree
from tests.bench.stacks import fresh_stack
from tests.support.stack import RunningStack

CLIENTS = 64
QUICK_TASKS = 1000
SAMPLE_S = 0.5
NO_GROWTH_MIB = 5.0
"""What growth may be told from none: some 2 % of what the processes take."""

FILLED = 3
"""After this part of the tasks the caches are full: measured, after a quarter of 50,000."""


def measure(options: Options) -> Found:
    """Sample the memory while tasks with other angles each time go through."""
    tasks = min(options.tasks, QUICK_TASKS) if options.is_quick else options.tasks
    with fresh_stack(sandboxes=1, sandbox_max_tasks=10 * tasks) as stack:
        pids = _executor(stack)
        warm = memory_mib(pids)
        samples = _sampled(stack, pids, tasks)
        if _executor(stack) != pids:
            raise RuntimeError("a sandbox was replaced")
    rounds = [{"done": done, **memory} for done, memory in samples]
    return Found(lines=lines(rounds, tasks, len(pids) - 1, warm), rounds=rounds)


def lines(rounds: list[Round], tasks: int, sandboxes: int, warm: dict[str, float]) -> list[Line]:
    """Return what the samples tell: the memory before any task, with full caches, and the growth.

    Caches of circuits fill during the first tasks; growth is what comes after a third of them.
    """
    late = [each for each in rounds if each["done"] >= tasks / FILLED]
    done, pss = (np.array([each[name] for each in late]) for name in ("done", "pss"))
    first = np.median(pss[done <= max(done[0], tasks / FILLED + tasks / 10)])
    last = np.median(pss[done >= min(done[-1], tasks * 9 / 10)])
    slope = np.polyfit(done, pss, 1)[0] if len(set(done)) > 1 else 0.0
    fitted = float(slope * (done[-1] - done[0]))
    title = f"growth over the last two thirds of {tasks:,} tasks"
    few = Target("<=", NO_GROWTH_MIB)
    return [
        Line(
            title=f"one executor, {sandboxes} warm sandboxes: PSS",
            unit="MiB",
            figures=[warm["pss"]],
        ),
        Line(title="  RSS, shared pages counted in each", unit="MiB", figures=[warm["rss"]]),
        Line(title="  PSS once its caches are full", unit="MiB", figures=[float(last)]),
        Line(title=f"{title}, by linear fit", unit="MiB", figures=[fitted], target=few),
        Line(
            title=f"{title}, end less beginning",
            unit="MiB",
            figures=[float(last - first)],
            target=few,
        ),
    ]


def _executor(stack: RunningStack) -> list[int]:
    """Return the process ids of the executor and of all below it."""
    (pid,) = stack.pids("qjet_executor")
    return [pid, *sorted(tree(pid))]


def _sampled(
    stack: RunningStack, pids: list[int], tasks: int
) -> list[tuple[int, dict[str, float]]]:
    """Run the tasks; return how many had been handed out, with the memory at that time."""
    handed_out, is_over = 0, False

    def counted(work: Iterator[Submission]) -> Iterator[Submission]:
        nonlocal handed_out
        for submission in work:
            if is_over:
                return
            handed_out += 1
            yield submission

    work = counted(submissions(islice(sources("angles", "memory"), tasks)))
    samples = []
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(closed_loop, stack.http, work, clients=CLIENTS)
        try:
            while not loading.done():
                samples.append((handed_out, memory_mib(pids)))
                wait([loading], SAMPLE_S)
        finally:
            is_over = True  # also where the bench is interrupted: this waits for the thread
    if loading.result().tasks != tasks:
        raise RuntimeError(f"only {loading.result().tasks} of {tasks} tasks were run")
    return [*samples, (tasks, memory_mib(pids))]


ROWS = [Row(name="memory", measure=measure)]
