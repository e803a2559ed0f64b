"""Fixtures that every level of the tests shares."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NoReturn

import nats
import pytest
from nats.aio.client import Client as NatsClient

from tests.support.disk import SmallDisk
from tests.support.nats import NatsServer, nats_server
from tests.support.services import Service, service


def require(tool: str, name: str) -> str:
    """Return the path of an outside program, or skip; fail where QJET_REQUIRE names it."""
    return shutil.which(tool) or lack(f"{tool} is not installed", name)


def lack(what: str, name: str) -> NoReturn:
    """Skip because of `what` is missing; fail where QJET_REQUIRE names it."""
    reason = f"{what} ({name})"
    if name in os.environ.get("QJET_REQUIRE", "").split(","):
        pytest.fail(f"{reason}, and QJET_REQUIRE asks for it")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def nats_cli() -> str:
    """The real `nats` command."""
    return require("nats", "nats")


@pytest.fixture(scope="session")
def chromium() -> str:
    """A real browser."""
    return require("chromium", "chromium")


@pytest.fixture(scope="session")
def strace() -> str:
    """The system call tracer, able to trace."""
    tool = require("strace", "strace")
    if subprocess.run([tool, "-qq", "-o", "/dev/null", "true"], check=False).returncode:
        lack("strace may not trace here", "strace")
    return tool


@pytest.fixture(scope="session")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> SmallDisk:
    """How to run a command with a small file system of its own."""
    trial = SmallDisk(tmp_path_factory.mktemp("disk"), size_mib=1)
    if subprocess.run([*trial.launcher, "true"], capture_output=True, check=False).returncode:
        lack("nothing can be mounted here", "mount")
    return trial


@pytest.fixture
def broker() -> Iterator[NatsServer]:
    """A fresh nats-server."""
    with nats_server() as server:
        yield server


@pytest.fixture
async def nc(broker: NatsServer) -> AsyncIterator[NatsClient]:
    """A client of the fresh nats-server that is not qjet's code."""
    client = await nats.connect(broker.url, reconnect_time_wait=0.1, max_reconnect_attempts=-1)
    yield client
    await client.close()


@pytest.fixture
def resultstore(broker: NatsServer, tmp_path: Path) -> Iterator[Service]:
    """A running resultstore; it has made the streams."""
    with service("resultstore", broker.url, tmp_path, ack_wait_s=2) as running:
        yield running


@pytest.fixture
def executor(broker: NatsServer, resultstore: Service, tmp_path: Path) -> Iterator[Service]:
    """A running executor with one warm sandbox."""
    with service("executor", broker.url, tmp_path, sandboxes=1, ack_wait_s=2) as running:
        yield running


@pytest.fixture
def gateway(broker: NatsServer, resultstore: Service, tmp_path: Path) -> Iterator[Service]:
    """A running gateway, without executors."""
    with service("gateway", broker.url, tmp_path) as running:
        yield running
