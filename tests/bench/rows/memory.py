"""What one executor with two warm sandboxes takes, and whether it grows over many tasks.

Its sandboxes are not replaced meanwhile, so that nothing that they leak is thrown away unseen.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

import numpy as np

from tests.bench.circuits import sources
from tests.bench.frame import Found, Line, Options, Row, Target
from tests.bench.load import Submission, closed_loop, submissions
from tests.bench.processes import memory_mib, tree
from tests.bench.stacks import fresh_stack
from tests.support.stack import RunningStack

CLIENTS = 64
QUICK_TASKS = 1000
SAMPLE_S = 0.5
NO_GROWTH_MIB = 5.0
"""What growth over all tasks may be told from none: some 1 % of what the processes take."""


def measure(options: Options) -> Found:
    """Sample the memory while tasks with other angles each time go through."""
    tasks = min(options.tasks, QUICK_TASKS) if options.is_quick else options.tasks
    with fresh_stack(sandboxes=1, sandbox_max_tasks=10 * tasks) as stack:
        pids = _executor(stack)
        warm = memory_mib(pids)
        samples = _sampled(stack, pids, tasks)
        if _executor(stack) != pids:
            raise RuntimeError("a sandbox was replaced")
    growth, fitted = _growth(samples, tasks)
    title = f"growth over {tasks:,} tasks"
    few = Target("<=", NO_GROWTH_MIB)
    return Found(
        lines=[
            Line(
                title=f"one executor, {len(pids) - 1} warm sandboxes: PSS",
                unit="MiB",
                figures=[warm["pss"]],
            ),
            Line(title="  RSS, shared pages counted in each", unit="MiB", figures=[warm["rss"]]),
            Line(title=f"{title}, by linear fit", unit="MiB", figures=[fitted], target=few),
            Line(
                title=f"{title}, last tenth less second", unit="MiB", figures=[growth], target=few
            ),
        ],
        rounds=[{"done": done, **memory} for done, memory in samples],
    )


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


def _growth(samples: list[tuple[int, Any]], tasks: int) -> tuple[float, float]:
    """Return by how much PSS grew after the first tenth: from tenth to tenth, and as fitted."""
    late = [(done, memory["pss"]) for done, memory in samples if done >= tasks / 10]
    done, pss = np.array(late).T
    first = np.median(pss[done <= max(done[0], tasks / 5)])
    last = np.median(pss[done >= min(done[-1], tasks * 9 / 10)])
    slope = np.polyfit(done, pss, 1)[0] if len(set(done)) > 1 else 0.0
    return float(last - first), float(slope * (done[-1] - done[0]))


ROWS = [Row(name="memory", measure=measure)]
