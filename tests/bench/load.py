"""Clients that submit tasks over HTTP and wait for their results, each of which is checked."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import islice
from typing import Any, NamedTuple

import uvloop

from tests.bench.connection import Connection

Submission = dict[str, Any]

SHOTS = 1024
_ACCEPTED = 202
_WAIT_S = 60


class WrongResultError(Exception):
    """A task did not end as it should: what was measured means nothing."""


class Done(NamedTuple):
    """How many tasks were done, and how long it took."""

    tasks: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds


def submissions(sources: Iterable[str], shots: int = SHOTS) -> Iterator[Submission]:
    """Ask for `shots` of each circuit."""
    return ({"qc": source, "shots": shots} for source in sources)


def closed_loop(
    url: str, work: Iterator[Submission], *, clients: int, seconds: float = float("inf")
) -> Done:
    """Have `clients` at once submit and await one task after the other, until work or time ends."""
    return uvloop.run(_closed_loop(url, run_task, work, clients, seconds))


def closed_loop_of_batches(
    url: str, work: Iterator[Submission], *, clients: int, size: int, seconds: float = float("inf")
) -> Done:
    """Do the same with batches of `size` tasks; count tasks."""
    batches = iter(lambda: list(islice(work, size)), [])
    return uvloop.run(_closed_loop(url, run_batch, batches, clients, seconds))


async def _closed_loop(
    url: str,
    run: Callable[[Connection, Any], Awaitable[object]],
    work: Iterator[Any],
    clients: int,
    seconds: float,
) -> Done:
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(Connection(url)) for _ in range(clients)]
        start = time.perf_counter()

        async def client(connection: Connection) -> int:
            done = 0
            for each in work:
                await run(connection, each)
                done += len(each) if isinstance(each, list) else 1
                if time.perf_counter() - start > seconds:
                    break
            return done

        counts = await asyncio.gather(*map(client, connections))
        return Done(sum(counts), time.perf_counter() - start)


async def run_task(connection: Connection, submission: Submission) -> dict[str, Any]:
    """Submit a task, await it, check its result and return it."""
    task_id = await submit(connection, submission)
    task = {"status": "pending"}
    while task["status"] in ("pending", "running"):
        task = (await connection.get(f"/tasks/{task_id}?wait={_WAIT_S}")).json()
    check(task, submission)
    return task


async def run_batch(connection: Connection, submissions: Sequence[Submission]) -> None:
    """Submit tasks as a batch, await them and check each result."""
    answer = await connection.post("/batches", {"tasks": submissions})
    if answer.status != _ACCEPTED:
        raise WrongResultError(f"not accepted: {answer}")
    path = f"/batches/{answer.json()['batch_id']}?wait={_WAIT_S}&results=true"
    batch = (await connection.get(path)).json()
    for task, submission in zip(batch["tasks"], submissions, strict=True):
        check(task, submission)


def run_one(url: str, submission: Submission) -> tuple[dict[str, Any], float]:
    """Run one task and return it, with the seconds from its submission to its result."""

    async def run() -> tuple[dict[str, Any], float]:
        async with Connection(url) as connection:
            start = time.perf_counter()
            task = await run_task(connection, submission)
            return task, time.perf_counter() - start

    return uvloop.run(run())


async def submit(connection: Connection, submission: Submission) -> str:
    """Submit a task and return its id."""
    answer = await connection.post("/tasks", submission)
    if answer.status != _ACCEPTED:
        raise WrongResultError(f"not accepted: {answer}")
    return str(answer.json()["task_id"])


def check(task: dict[str, Any], submission: Submission) -> None:
    """Make sure that a task completed, with as many points and shots as were asked for.

    Raises:
        WrongResultError: it did not.
    """
    points = submission.get("parameters", [{}])
    results = task.get("result") if "parameters" in submission else [task.get("result")]
    if task["status"] != "completed" or len(results) != len(points):
        raise WrongResultError(f"not completed: {str(task)[:2000]}")
    if any(sum(counts.values()) != submission["shots"] for counts in results):
        raise WrongResultError(f"counts do not sum to the shots: {str(task)[:2000]}")
