"""`make chaos`: kill real processes at random while tasks flow, then count what was lost.

The schedule of faults comes from a seed, which is printed, as are the faults and how often tasks
were delivered. Reads streams and bucket with a NATS client of its own. Exits 1 if any accepted
task has no result, more than one, or no announcement.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import nats
from nats.errors import Error as NatsError

from tests.support.circuits import BELL
from tests.support.stack import RunningStack, running_stack

VICTIMS = ("qjet_gateway", "qjet_executor", "qjet_resultstore", "nats-server", "sandbox")
SUBMITTERS = 4
PAUSE_S = 0.04
SETTLE_S = 180.0


class Chaos:
    """One run: what was accepted, and what was done to the stack."""

    def __init__(self, stack: RunningStack, rng: random.Random, tasks: int) -> None:
        self.stack = stack
        self.rng = rng
        self.wanted = tasks
        self.accepted: list[str] = []
        self.faults: Counter[str] = Counter()
        self.refused = 0

    async def run(self) -> None:
        """Submit while killing, until enough tasks are accepted."""
        killing = asyncio.create_task(self._kill_now_and_then())
        async with aiohttp.ClientSession(self.stack.http) as session:
            await asyncio.gather(*(self._submit(session) for _ in range(SUBMITTERS)))
        killing.cancel()

    async def _submit(self, session: aiohttp.ClientSession) -> None:
        """Submit one task after another; whatever is not answered with 202 was not accepted."""
        while len(self.accepted) < self.wanted:
            await asyncio.sleep(PAUSE_S)  # leaves time for faults to happen among the tasks
            try:
                async with session.post("/tasks", json={"qc": BELL, "shots": 64}) as response:
                    body = await response.json(content_type=None)
                    if response.status == 202:
                        self.accepted.append(body["task_id"])
                        continue
            except (aiohttp.ClientError, TimeoutError):
                pass
            self.refused += 1

    async def _kill_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(0.2, 1.5))
            victim = self.rng.choice(VICTIMS)
            pid = self._pid(victim)
            if pid is None:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.faults[victim] += 1

    def _pid(self, victim: str) -> int | None:
        children = self.stack.children()
        if victim != "sandbox":
            return children.get(victim)
        executor = children.get("qjet_executor")
        if executor is None:
            return None
        try:
            text = Path(f"/proc/{executor}/task/{executor}/children").read_text()
        except OSError:
            return None
        pids = [int(pid) for pid in text.split()]
        return self.rng.choice(pids) if pids else None


async def check(chaos: Chaos) -> dict[str, Any]:
    """Wait until the stream is empty, then compare what was accepted with what is stored."""
    nc = await nats.connect(chaos.stack.nats, max_reconnect_attempts=-1, reconnect_time_wait=0.2)
    js = nc.jetstream()
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        try:
            stored = await _subjects(js, "KV_qjet-results", "$KV.qjet-results.>")
            left = (await js.stream_info("QJET_TASKS")).state.messages
            if left == 0 and len(stored) >= len(chaos.accepted):
                break
        except (NatsError, TimeoutError):
            pass
        await asyncio.sleep(0.5)
    stored = await _subjects(js, "KV_qjet-results", "$KV.qjet-results.>")
    results = await _subjects(js, "QJET_RESULTS", "qjet.results.>")
    events = await _subjects(js, "QJET_EVENTS", "qjet.final.>")
    states = await _states(js, chaos.accepted)
    await nc.close()
    announced = Counter(subject.split(".")[2] for subject in events)
    keys = {subject.rsplit(".", 1)[1] for subject in stored}
    ids = set(chaos.accepted)
    return {
        "accepted": len(ids),
        "lost": sorted(ids - keys),
        "results_not_one": sorted(i for i in ids if results.get(f"qjet.results.{i}") != 1),
        "announcements_not_one": sorted(i for i in ids if announced[i] != 1),
        "status": dict(Counter(state["status"] for state in states)),
        "attempts": dict(Counter(state["attempts"] for state in states)),
    }


async def _subjects(js: Any, stream: str, pattern: str) -> dict[str, int]:
    """Return each subject of a stream with its number of messages."""
    info = await js.stream_info(stream, subjects_filter=pattern)
    return info.state.subjects or {}


async def _states(js: Any, ids: list[str]) -> list[dict[str, Any]]:
    bucket = await js.key_value("qjet-results")
    found = []
    for task_id in ids:
        try:
            found.append(json.loads((await bucket.get(task_id)).value))
        except nats.js.errors.KeyNotFoundError:
            continue
    return found


def main() -> int:
    """Run once and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.tasks} tasks", flush=True)
    with TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        chaos = Chaos(stack, random.Random(arguments.seed), arguments.tasks)  # noqa: S311
        asyncio.run(chaos.run())
        found = asyncio.run(check(chaos))
    print(f"killed: {dict(chaos.faults)}; submissions not accepted: {chaos.refused}")
    print(json.dumps(found, indent=2))
    broken = found["lost"] or found["results_not_one"] or found["announcements_not_one"]
    print("FAILED" if broken else "nothing lost, nothing doubled")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
