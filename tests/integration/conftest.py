"""Fixtures of this level: parts that several tests may share, for they leave them as they were."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client as NatsClient

from qjet_shared.broker import Broker
from tests.support.nats import NatsServer, nats_server
from tests.support.services import Service, service


@pytest.fixture(scope="module")
def shared_broker() -> Iterator[NatsServer]:
    """One nats-server for a module."""
    with nats_server() as server:
        yield server


@pytest.fixture(scope="module")
def shared_executor(
    shared_broker: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One executor and resultstore for a module."""
    folder: Path = tmp_path_factory.mktemp("shared")
    with (
        service("resultstore", shared_broker.url, folder),
        service("executor", shared_broker.url, folder, sandboxes=1) as running,
    ):
        yield running


@pytest.fixture
async def shared_nc(shared_broker: NatsServer) -> AsyncIterator[NatsClient]:
    """A client of the module's nats-server."""
    client = await nats.connect(shared_broker.url)
    yield client
    await client.close()


@pytest.fixture
async def link(broker: NatsServer) -> AsyncIterator[Broker]:
    """Qjet's own connection to the broker."""
    made = Broker(broker.url, name="test")
    made.start()
    await made.first_connection()
    yield made
    await made.close()
