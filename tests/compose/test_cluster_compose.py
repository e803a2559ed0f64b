"""Three brokers as containers: the leader is cut off, another one is killed, tasks flow on."""

import json
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from qjet_shared.messages.submission import BELL_QASM
from tests.compose.conftest import ComposeStack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.compose

NODES = ("nats", "nats-2", "nats-3")
LONGEST_GAP_S = 10.0
FAILOVER_S = 60.0
ALL_FINAL_S = 180.0
"""What an executor or resultstore had acknowledged in vain comes back after 30 s."""

# Run inside the gateway's container, with nats-py alone: it is nobody's answer but the brokers'.
LOOK = """
import asyncio, json, nats
async def main():
    nc = await nats.connect({servers}, connect_timeout=1, allow_reconnect=False)
    js = nc.jetstream(timeout=2)
    {body}
    await nc.close()
asyncio.run(main())
"""
SHAPE = """
    found = await js.stream_info("QJET_TASKS")
    current = sum(bool(r.current and not r.offline) for r in found.cluster.replicas or ())
    print(json.dumps([found.cluster.leader, current]))
"""
COUNTS = """
    found = {}
    for stream in ("QJET_TASKS", "KV_qjet-results", "QJET_EVENTS"):
        state = (await js.stream_info(stream, subjects_filter=">")).state
        found[stream] = [state.messages, state.subjects or {}]
    print(json.dumps(found))
"""


class ClusterStack(ComposeStack):
    """The same stack with three brokers and one executor."""

    executors = 1

    def look(self, body: str, *nodes: str) -> list | dict:
        """Ask the brokers themselves."""
        servers = [f"nats://{node}:4222" for node in nodes or NODES]
        code = LOOK.format(servers=servers, body=body.strip())
        return json.loads(self.python("gateway", code))

    def whole(self, *nodes: str) -> str | None:
        """Return who leads the task stream, if all three have a copy of it."""
        try:
            leader, current = self.look(SHAPE, *nodes)
        except AssertionError:  # in the middle of an election nobody answers
            return None
        return leader if current == len(NODES) - 1 else None

    def node(self, name: str) -> str:
        """Return the container of a broker."""
        (container,) = self.containers(name)
        return container


class Load(threading.Thread):
    """Submits one task after the other until told to stop, and tries again when refused."""

    def __init__(self, url: str) -> None:
        super().__init__(name="load")
        self._url = url
        self._stop_asked = threading.Event()
        self._at: list[float] = []
        self.accepted: list[str] = []

    def run(self) -> None:
        """Submit."""
        with httpx.Client(base_url=self._url, timeout=30) as http:
            while not self._stop_asked.wait(0.1):
                try:
                    answer = http.post("/tasks", json={"qc": BELL_QASM, "shots": 16})
                except httpx.TransportError:
                    continue
                if answer.status_code == 202:
                    self._at.append(time.monotonic())
                    self.accepted.append(answer.json()["task_id"])

    def stop(self) -> None:
        """End it."""
        self._stop_asked.set()
        self.join()

    @property
    def longest_gap_s(self) -> float:
        """The longest time without an accepted submission."""
        times = [*self._at, time.monotonic()]
        return max(after - before for before, after in pairwise(times))

    async def goes_on(self) -> None:
        """Wait until twenty more were accepted."""
        enough = len(self.accepted) + 20
        await wait_until(lambda: len(self.accepted) >= enough, "twenty more", timeout_s=FAILOVER_S)


@pytest.fixture
def cluster(engine: None) -> Iterator[ClusterStack]:
    with ClusterStack(Path("docker-compose.cluster.yml")).running() as stack:
        yield stack


@pytest.fixture
def load(cluster: ClusterStack) -> Iterator[Load]:
    """A client that submits all the time."""
    load = Load(cluster.address("gateway", 8000))
    load.start()
    yield load
    load.stop()


async def test_any_broker_may_be_lost(cluster: ClusterStack, load: Load) -> None:
    """The leader of the task stream is cut off, later another broker is killed.

    Submissions go on within ten seconds, every accepted task completes, and the brokers' own
    books say so: no task waits, each has one entry and one final event.
    """

    async def whole() -> str:
        return await wait_until(cluster.whole, "three copies", timeout_s=FAILOVER_S)

    leader = await whole()
    await load.goes_on()
    network, cut_off = cluster.network(), cluster.node(leader)
    cluster.docker("network", "disconnect", network, cut_off)
    await load.goes_on()
    cluster.docker("network", "connect", "--alias", leader, network, cut_off)
    victim = await whole()
    await load.goes_on()
    cluster.kill_main_process(cluster.node(victim))
    await load.goes_on()
    await whole()
    load.stop()
    print(f"{len(load.accepted)} accepted, longest gap {load.longest_gap_s:.2f} s")
    assert load.longest_gap_s < LONGEST_GAP_S
    await wait_until(lambda: _is_settled(cluster), "nothing waits", timeout_s=ALL_FINAL_S)
    _check_books(cluster, load.accepted)


def _is_settled(cluster: ClusterStack) -> bool:
    try:
        return cluster.look(COUNTS)["QJET_TASKS"][0] == 0
    except AssertionError:
        return False


def _check_books(cluster: ClusterStack, task_ids: list[str]) -> None:
    books = cluster.look(COUNTS)
    entries, events = books["KV_qjet-results"][1], books["QJET_EVENTS"][1]
    assert [t for t in task_ids if entries.get(f"$KV.qjet-results.{t}") != 1] == []
    assert [t for t in task_ids if events.get(f"qjet.final.{t}.completed") != 1] == []
