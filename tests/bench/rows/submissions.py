"""Submissions a second on one core of a gateway.

The gateway is kept on one core, the broker and the clients on the others, and nobody runs the
tasks. The base is the gateway's processor time: with few cores the clients set the pace.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from tests.bench.circuits import sources
from tests.bench.connection import Connection
from tests.bench.frame import Found, Line, Options, Row, Target, alternate, figures_of
from tests.bench.load import submissions, submit
from tests.bench.processes import cpu_s, pin
from tests.support.nats import nats_server
from tests.support.services import Service, service

CLIENTS = 64


def measure(options: Options) -> Found:
    """Submit as fast as it goes, in rounds."""
    with _gateway_alone() as gateway:
        _submit_for(gateway, 0.5)
        rounds = alternate(options.rounds, qjet=lambda _: _submit_for(gateway, options.seconds))
    title = "submissions over HTTP on one gateway core"
    return Found(
        lines=[
            Line(
                title=f"{title}: by its processor time",
                unit="1/s",
                figures=figures_of(rounds, "qjet", "per_cpu_s"),
                target=Target(">=", 2000),
            ),
            Line(
                title="  by the clock, clients and broker on the other cores",
                unit="1/s",
                figures=figures_of(rounds, "qjet", "per_s"),
            ),
        ],
        rounds=rounds,
    )


@contextmanager
def _gateway_alone() -> Iterator[Service]:
    """Run a broker, a resultstore and a gateway on a core of its own, where there are two."""
    cores = os.sched_getaffinity(0)
    own = {max(cores)}
    pin(os.getpid(), (cores - own) or own)
    try:
        with (
            TemporaryDirectory(prefix="qjet-bench-") as folder,
            nats_server() as broker,
            service("resultstore", broker.url, Path(folder)),
            service("gateway", broker.url, Path(folder)) as gateway,
        ):
            pin(gateway.process.pid, own)
            yield gateway
    finally:
        pin(os.getpid(), cores)


def _submit_for(gateway: Service, seconds: float) -> dict[str, Any]:
    pid = gateway.process.pid
    before, start = cpu_s(pid), time.perf_counter()
    done = uvloop.run(_submit(gateway.url, seconds))
    cpu, wall = cpu_s(pid) - before, time.perf_counter() - start
    return {
        "per_cpu_s": done / cpu,
        "per_s": done / wall,
        "done": done,
        "gateway_cores": cpu / wall,
    }


async def _submit(url: str, seconds: float) -> int:
    """Return how many submissions were answered with 202; any other answer raises."""
    work = submissions(sources("angles", str(seconds)))
    deadline = time.perf_counter() + seconds

    async def client(connection: Connection) -> int:
        done = 0
        while time.perf_counter() < deadline:
            await submit(connection, next(work))
            done += 1
        return done

    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(Connection(url)) for _ in range(CLIENTS)]
        return sum(await asyncio.gather(*map(client, connections)))


ROWS = [Row(name="submissions", measure=measure)]
