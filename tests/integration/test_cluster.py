"""Three brokers, three copies: any one may be killed or hang while tasks flow."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import httpx
import nats
import pytest
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.errors import BrokerUnavailableError
from qjet_shared.ids import new_task_id
from qjet_shared.messages.submission import BELL_QASM
from tests.support.cluster import SIZE, Cluster, Node, nats_cluster
from tests.support.nats import NatsServer, nats_server
from tests.support.services import Service, service
from tests.support.tasks import final
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

LONGEST_GAP_S = 10.0
STREAMS = (
    subjects.TASKS_STREAM,
    subjects.RESULTS_STREAM,
    subjects.EVENTS_STREAM,
    subjects.RESULTS_BUCKET_STREAM,
    subjects.BLOBS_BUCKET_STREAM,
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes, for the whole module; a test leaves all of them running."""
    with nats_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The gateway of a whole stack, started while the nodes still elect."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    with (
        service("resultstore", cluster.url, folder, replicas=SIZE, ack_wait_s=3),
        service("executor", cluster.url, folder, sandboxes=1, ack_wait_s=3),
        service("gateway", cluster.url, folder) as gateway,
    ):
        yield gateway


class Load:
    """Submits over HTTP, again and again, and remembers when one was accepted."""

    def __init__(self, gateway: Service) -> None:
        self._gateway = gateway
        self._at: list[float] = []
        self.accepted: list[str] = []

    async def run(self) -> None:
        """Submit one after the other, as a client does that tries again when refused."""
        async with httpx.AsyncClient(base_url=self._gateway.url, timeout=30) as http:
            while True:
                answer = await http.post("/tasks", json={"qc": BELL_QASM, "shots": 8})
                if answer.status_code == 202:
                    self._at.append(time.monotonic())
                    self.accepted.append(answer.json()["task_id"])
                await asyncio.sleep(0.05)

    @property
    def longest_gap_s(self) -> float:
        """The longest time without an accepted submission."""
        times = [*self._at, time.monotonic()]
        return max(after - before for before, after in pairwise(times))

    async def goes_on(self) -> None:
        """Wait until ten more were accepted."""
        enough = len(self.accepted) + 10
        await wait_until(lambda: len(self.accepted) >= enough, "ten more accepted", timeout_s=30)


@pytest.mark.usefixtures("stack")
async def test_everything_has_three_copies_and_is_read_by_its_leader(cluster: Cluster) -> None:
    """Every stream, also those behind bucket and object store, is as QJET_REPLICAS says."""
    async with cluster.client() as nc:
        for name in STREAMS:
            config = (await nc.jetstream().stream_info(name)).config
            assert (name, config.num_replicas, config.allow_direct) == (name, SIZE, False)


@pytest.mark.usefixtures("cluster")
async def test_a_batch_is_taken_whole_and_read_by_leaders(stack: Service) -> None:
    """All of it is accepted at once, awaited, and shown in full; an unknown one is not found."""
    tasks = [{"qc": BELL_QASM, "shots": 10 + number} for number in range(300)]
    async with httpx.AsyncClient(base_url=stack.url, timeout=90) as http:
        accepted = (await http.post("/batches", json={"tasks": tasks})).json()
        path = f"/batches/{accepted['batch_id']}"
        batch = (await http.get(path, params={"wait": 60, "results": "true"})).json()
        assert batch["counts"]["completed"] == 300
        assert [task["task_id"] for task in batch["tasks"]] == accepted["task_ids"]
        shots = [sum(task["result"].values()) for task in batch["tasks"]]
        assert shots == [10 + number for number in range(300)]
        assert (await http.get(path.replace("-x300", "-x301"))).json()["counts"]["gone"] == 1
        assert (await http.get(f"/batches/{new_task_id()}-x300")).status_code == 404


@pytest.mark.parametrize("fault", [Node.kill, Node.pause])
async def test_a_node_may_go_while_tasks_flow(cluster: Cluster, stack: Service, fault) -> None:
    """The leader of the task stream dies or hangs: submissions go on within ten seconds.

    Every accepted task completes, and its event is stored once.
    """
    victim = await _leader_when_whole(cluster, subjects.TASKS_STREAM)
    load = Load(stack)
    running = asyncio.create_task(load.run())
    await load.goes_on()
    fault(victim)
    await load.goes_on()
    victim.resume() if fault is Node.pause else victim.start()
    await load.goes_on()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    print(f"{fault.__name__}: longest gap {load.longest_gap_s:.2f} s")
    assert load.longest_gap_s < LONGEST_GAP_S
    async with cluster.client() as nc:
        await _check_that_each_ended_once(nc, load.accepted)


async def _leader_when_whole(cluster: Cluster, stream: str) -> Node:
    """Return the node that leads a stream once all three have it."""
    async with cluster.client() as nc:
        await cluster.wait_whole(nc, stream)
        return await cluster.leader(nc, stream)


async def _check_that_each_ended_once(nc: NatsClient, task_ids: list[str]) -> None:
    for task_id in task_ids:
        assert (await final(nc, task_id, timeout_s=60))["status"] == "completed"
    announced = {subjects.final(task_id, "completed") for task_id in task_ids}
    counts: dict[str, int] = {}

    async def are_announced() -> bool:
        counts.update(await _messages_by_subject(nc))
        return announced <= counts.keys()

    await wait_until(are_announced, "all final events are stored")
    assert {counts[subject] for subject in announced} == {1}


async def _messages_by_subject(nc: NatsClient) -> dict[str, int]:
    events = await nc.jetstream().stream_info(
        subjects.EVENTS_STREAM, subjects_filter=subjects.FINAL_ALL
    )
    return events.state.subjects or {}


@pytest.mark.usefixtures("stack")
async def test_a_copy_that_lags_behind_is_not_believed(cluster: Cluster) -> None:
    """A task is found from the moment it was accepted, also by way of a node that has not heard.

    With direct reads about every second round fails.
    """
    leader = await _leader_when_whole(cluster, subjects.EVENTS_STREAM)
    for behind in 3 * cluster.others(leader):
        writer, reader = Broker(leader.url, name="writer"), Broker(behind.url, name="reader")
        for each in (writer, reader):
            each.start()
            await each.first_connection()
        assert await _read_behind(behind, writer, reader)
        for each in (writer, reader):
            await each.close()


async def _read_behind(behind: Node, writer: Broker, reader: Broker) -> Msg | None:
    """Write while a node is paused, and read the last message by way of that node."""
    run = f"{behind.name}-{time.monotonic_ns()}"
    names = [subjects.final(f"{run}-{n}", "x") for n in range(400)]
    behind.pause()
    try:
        await asyncio.gather(*(writer.publish(name, b"x" * 1000) for name in names))
        asked = reader.nc.stats["out_msgs"]
        found = asyncio.create_task(reader.last(subjects.EVENTS_STREAM, names[-1]))
        # The question waits at the node before it can catch up.
        await wait_until(lambda: reader.nc.stats["out_msgs"] > asked, "it is asked")
    finally:
        behind.resume()
    return await found


@pytest.mark.usefixtures("stack")
async def test_a_leader_that_hears_nobody_is_not_believed_either(cluster: Cluster) -> None:
    """Alone, it may have been replaced: what it has is told, what it lacks is not called missing.

    By itself it would say so for ten to twenty seconds.
    """
    leader = await _leader_when_whole(cluster, subjects.EVENTS_STREAM)
    reader = Broker(leader.url, name="reader")
    reader.start()
    await reader.first_connection()
    there = subjects.final(f"{leader.name}-{time.monotonic_ns()}", "x")
    await reader.publish(there, b"")
    assert await reader.last(subjects.EVENTS_STREAM, f"{there}y") is None
    for each in cluster.others(leader):
        each.pause()

    async def is_distrusted() -> bool:
        assert await reader.last(subjects.EVENTS_STREAM, there)
        try:
            await reader.last(subjects.EVENTS_STREAM, f"{there}y")
        except BrokerUnavailableError as exc:
            return "Most copies" in exc.message
        return False

    try:
        await wait_until(is_distrusted, "it is distrusted", timeout_s=5)
    finally:
        for each in cluster.others(leader):
            each.resume()
        await reader.close()


async def test_streams_are_made_as_soon_as_there_is_a_majority(tmp_path: Path) -> None:
    """A resultstore that comes before its brokers do waits for them."""
    with nats_cluster(starting=1) as cluster:
        settings = {"replicas": SIZE}
        with service("resultstore", cluster.url, tmp_path, ready=False, **settings) as early:
            await wait_until(
                lambda: "broker.connected" in early.log_file.read_text(), "it is connected"
            )
            assert early.get("/health/ready") != b"ok"
            for node in cluster.nodes[1:]:
                node.start()
            await asyncio.to_thread(early.wait_ready)


async def test_a_server_that_hangs_is_left_with_megabytes_unsent() -> None:
    """What waits to be sent to it must not keep a process from going elsewhere."""
    with nats_server() as one, nats_server() as other:
        broker = await _connected_to(one, other)
        one.pause()
        try:
            for _ in range(60):
                await broker.announce("large", b"x" * 1_000_000)
            await wait_until(
                lambda: broker.nc.connected_url and broker.nc.connected_url.port == other.port,
                "it is connected to the other one",
                timeout_s=8,
            )
        finally:
            one.resume()
            await broker.close()


async def test_a_server_that_is_of_no_use_is_left() -> None:
    """A node that is cut off from the others answers pings, and no question; so one moves on."""
    with nats_server() as silent, nats_server() as good:
        swallower = await nats.connect(silent.url)
        await swallower.subscribe("qjet.tasks.>")
        await swallower.flush()
        client = await nats.connect(good.url)
        await client.jetstream().add_stream(name="MOVED", subjects=["qjet.tasks.>"])
        broker = await _connected_to(silent, good)

        async def is_stored() -> bool:
            with suppress(BrokerUnavailableError):
                await broker.publish("qjet.tasks.default.one", b"")
                return True
            return False

        await wait_until(is_stored, "the other one has stored it", timeout_s=30)
        for each in (broker, swallower, client):
            await each.close()


async def _connected_to(wanted: NatsServer, other: NatsServer) -> Broker:
    """Return a connection that knows two servers and is with one of them."""
    while True:
        broker = Broker(f"{wanted.url},{other.url}", name="client")
        broker.start()
        await broker.first_connection()
        if broker.nc.connected_url and broker.nc.connected_url.port == wanted.port:
            return broker
        await broker.close()
