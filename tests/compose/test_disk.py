"""The broker's container on a small disk that gets full and has room again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.errors import Error as NatsError

from tests.compose.conftest import ComposeStack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.compose

SMALL = """
services:
  nats:
    ports: ["127.0.0.1:0:4222"]
  holder:  # keeps the volume mounted while the broker is started again
    image: nats:2.15-alpine
    command: [sleep, "600"]
    volumes: ["jetstream:/data"]
volumes:
  jetstream: {driver_opts: {type: tmpfs, device: tmpfs, o: size=64m}}
"""


@pytest.fixture
def small(engine: None, tmp_path: Path) -> Iterator[ComposeStack]:
    """The broker alone, on 64 MB."""
    file = tmp_path / "small.yml"
    file.write_text(SMALL)
    stack = ComposeStack(file)
    try:
        stack.compose("up", "-d", "--wait", "nats", "holder")
        yield stack
    finally:
        stack.remove()


async def test_a_broker_whose_disk_was_full_is_started_again(small: ComposeStack):
    """Its health check finds that it cannot write, and ends it once there is room: it works."""
    nc = await nats.connect(small.address("nats", 4222).replace("http", "nats"))
    js = nc.jetstream(timeout=1)

    async def stores() -> bool:
        with contextlib.suppress(NatsError):
            await js.publish("kept", b"x" * 100_000)
            return True
        return False

    await js.add_stream(name="KEPT", subjects=["kept"])
    assert await stores()
    small.compose("exec", "-T", "holder", "sh", "-c", "cat /dev/zero >/data/ballast || true")
    assert not await stores()
    small.compose("exec", "-T", "holder", "rm", "/data/ballast")
    assert not await stores()
    await nc.close()

    (container,) = small.containers("nats")

    def is_back() -> bool:
        state = small.inspect(container)
        return state["RestartCount"] > 0 and state["State"]["Health"]["Status"] == "healthy"

    await wait_until(is_back, "it is started again and healthy", timeout_s=60)
    nc = await nats.connect(small.address("nats", 4222).replace("http", "nats"))
    js = nc.jetstream(timeout=1)
    assert (await js.stream_info("KEPT")).state.messages == 1
    assert await stores()
    await nc.close()
