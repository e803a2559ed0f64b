"""Three real nats-servers on loopback that form one JetStream cluster."""

import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nats
from nats.aio.client import Client as NatsClient
from nats.errors import Error as NatsError

from tests.support.nats import NatsServer
from tests.support.waiting import wait_until

SIZE = 3
ELECTION_S = 30.0


@dataclass
class Node(NatsServer):
    """One server of a cluster, on a port that it keeps, with a route to every node."""

    name: str = ""
    route: int = 0
    routes: list[str] = field(default_factory=list)

    @property
    def extra(self) -> str:
        """What makes a server a node."""
        return (
            f'server_name: "{self.name}"\n'
            f'cluster {{ name: "qjet", listen: "127.0.0.1:{self.route}", routes: '
            f"[{', '.join(self.routes)}] }}\n"
        )


class Cluster:
    """All nodes, and which of them leads what."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """All addresses, as `QJET_NATS_URL` takes them."""
        return ",".join(node.url for node in self.nodes)

    @property
    def urls(self) -> list[str]:
        """All addresses, as nats-py takes them."""
        return [node.url for node in self.nodes]

    def others(self, *nodes: Node) -> list[Node]:
        """Return all nodes but these."""
        return [node for node in self.nodes if node not in nodes]

    def node(self, name: str) -> Node:
        """Return a node by the name it has in JetStream's answers."""
        return next(node for node in self.nodes if node.name == name)

    async def leader(self, nc: NatsClient, stream: str) -> Node:
        """Return the node that leads a stream; waits while there is none."""

        async def look() -> str | None:
            try:
                cluster = (await nc.jetstream(timeout=1).stream_info(stream)).cluster
            except NatsError:
                return None
            return cluster.leader if cluster else None

        return self.node(await wait_until(look, f"{stream} has a leader", timeout_s=ELECTION_S))

    async def wait_whole(self, nc: NatsClient, stream: str) -> None:
        """Wait until every node has an up-to-date copy of a stream."""

        async def is_whole() -> bool:
            try:
                cluster = (await nc.jetstream(timeout=1).stream_info(stream)).cluster
            except NatsError:
                return False
            copies = (cluster and cluster.replicas) or []
            return len(copies) == SIZE - 1 and all(c.current and not c.offline for c in copies)

        await wait_until(is_whole, f"{stream} has {SIZE} copies", timeout_s=ELECTION_S)

    async def wait_formed(self) -> None:
        """Wait until JetStream answers, that is, until the nodes have elected a leader."""
        async with self.client() as nc:

            async def answers() -> bool:
                try:
                    await nc.jetstream(timeout=1).account_info()
                except NatsError:
                    return False
                return True

            await wait_until(answers, "the cluster has a leader", timeout_s=ELECTION_S)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[NatsClient]:
        """Give a client that is not qjet's code, for the time between two faults."""
        nc = await nats.connect(self.urls)
        try:
            yield nc
        finally:
            await nc.close()


@contextmanager
def nats_cluster(*, starting: int = SIZE) -> Iterator[Cluster]:
    """Run a cluster for as long as the block; `wait_formed` tells when it can be used.

    Only the first `starting` nodes are started.
    """
    with tempfile.TemporaryDirectory() as folder:
        ports = _free_ports(2 * SIZE)
        nodes = [
            Node(Path(folder) / f"n{n}", port=ports[n], name=f"n{n}", route=ports[SIZE + n])
            for n in range(SIZE)
        ]
        try:
            for node in nodes:
                node.folder.mkdir()
                node.routes = [f"nats://127.0.0.1:{other.route}" for other in nodes]
            for node in nodes[:starting]:
                node.start()
            yield Cluster(nodes)
        finally:
            for node in nodes:
                node.kill()


def _free_ports(count: int) -> list[int]:
    """Return ports nobody uses now: the nodes have to know one another's before they start."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
