"""`make bench`: qjet against the plain loops it replaces, in one run on the same cores.

Rounds of the two alternate, so that a noisy machine disturbs both. Prints a table and writes a
JSON file with every round, versions and cores.
"""

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import uvloop
from rich.console import Console
from rich.table import Table

from qjet_shared.messages import BELL_QASM
from tests.support.stack import running_stack

SUBMISSION = {"qc": BELL_QASM, "shots": 1024}
LOOPS = 2
CLIENTS = 64
FLOOR_RATIO = 1.0
FLOOR_P50_MS = 15.0


def main() -> None:
    """Run the bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one round")
    parser.add_argument("--latencies", type=int, default=300, help="single tasks to time")
    parser.add_argument("--out", type=Path, default=Path("bench-results/bench.json"))
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        found = uvloop.run(measure(stack.http, arguments))
    found["machine"] = machine()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2))
    show(found, arguments.out)


async def measure(url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Alternate rounds of plain loops and of qjet, then time single tasks."""
    loops, tasks = [], []
    async with aiohttp.ClientSession(url) as session:
        await qjet_rate(session, 1.0)
        for _ in range(arguments.rounds):
            loops.append(plain_rate(arguments.seconds))
            tasks.append(await qjet_rate(session, arguments.seconds))
        latencies = [await latency_ms(session) for _ in range(arguments.latencies)]
    ratios = [ours / theirs for ours, theirs in zip(tasks, loops, strict=True)]
    percentiles = statistics.quantiles(latencies, n=100)
    return {
        "plain_loops_per_s": loops,
        "qjet_tasks_per_s": tasks,
        "ratio": ratios,
        "latency_ms": {"p50": percentiles[49], "p99": percentiles[98], "all": latencies},
    }


def plain_rate(seconds: float) -> float:
    """Circuits a second of `LOOPS` plain loops side by side."""
    with plain_loops(seconds) as processes:
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        reports = [json.loads(process.stdout.readline()) for process in processes]
    return sum(report["done"] / report["seconds"] for report in reports)


@contextmanager
def plain_loops(seconds: float) -> Iterator[list[Any]]:
    """Start the loops and wait until they are warm."""
    command = [sys.executable, str(Path(__file__).with_name("plain_loop.py")), str(seconds)]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(LOOPS)
    ]
    try:
        for process in processes:
            process.stdout.readline()
        yield processes
    finally:
        for process in processes:
            process.stdin.close()
            process.wait()
            process.stdout.close()


async def qjet_rate(session: aiohttp.ClientSession, seconds: float) -> float:
    """Tasks a second, each submitted over HTTP and awaited, by `CLIENTS` clients at once."""
    deadline = time.perf_counter() + seconds
    start = time.perf_counter()

    async def client() -> int:
        done = 0
        while time.perf_counter() < deadline:
            await one_task(session)
            done += 1
        return done

    counts = await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return sum(counts) / (time.perf_counter() - start)


async def latency_ms(session: aiohttp.ClientSession) -> float:
    """Time one task on an otherwise idle system."""
    start = time.perf_counter()
    await one_task(session)
    return (time.perf_counter() - start) * 1000


async def one_task(session: aiohttp.ClientSession) -> None:
    """Submit a Bell circuit and wait for its counts."""
    async with session.post("/tasks", json=SUBMISSION) as response:
        task_id = (await response.json())["task_id"]
    async with session.get(f"/tasks/{task_id}", params={"wait": "30"}) as response:
        task = await response.json()
    if task["status"] != "completed" or sum(task["result"].values()) != SUBMISSION["shots"]:
        raise SystemExit(f"a task failed: {task}")


def machine() -> dict[str, Any]:
    """Say where and with what this was measured."""
    packages = ("qjet", "qiskit", "qiskit-aer", "qiskit-qasm3-import", "nats-py", "aiohttp")
    return {
        "cores": len(__import__("os").sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def show(found: dict[str, Any], out: Path) -> None:
    """Print the table, with each floor beside what was measured."""
    table = Table(title=f"Bell, 1,024 shots, {found['machine']['cores']} cores")
    for column in ("what", "median", "min - max", "floor"):
        table.add_column(column, justify="left" if column == "what" else "right")
    rows = (
        ("plain loops (2 processes), circuits/s", "plain_loops_per_s", ""),
        ("qjet over HTTP, tasks/s", "qjet_tasks_per_s", ""),
        ("ratio", "ratio", f">= {FLOOR_RATIO:g}"),
    )
    for label, key, floor in rows:
        figures = found[key]
        spread = f"{min(figures):.2f} - {max(figures):.2f}"
        table.add_row(label, f"{statistics.median(figures):.2f}", spread, floor)
    latency = found["latency_ms"]
    p99 = f"p99 {latency['p99']:.1f}"
    table.add_row("latency, idle, ms", f"{latency['p50']:.1f}", p99, f"<= {FLOOR_P50_MS:g}")
    Console().print(table)
    print(f"every round: {out}")


if __name__ == "__main__":
    main()
