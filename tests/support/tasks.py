"""Reading and writing tasks with a NATS client of the tests' own, not through qjet's code."""

import json
from typing import Any

from nats.aio.client import Client as NatsClient
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError

from tests.support.waiting import wait_until


async def submit(nc: NatsClient, task_id: str, payload: str | bytes | dict[str, Any]) -> None:
    """Publish a submission under an id and wait for JetStream's acknowledgement."""
    if isinstance(payload, dict):
        payload = json.dumps(payload)
    data = payload.encode() if isinstance(payload, str) else payload
    await nc.jetstream().publish(f"qjet.submit.{task_id}", data)


async def entry(nc: NatsClient, task_id: str) -> dict[str, Any] | None:
    """Return the finished task in the results bucket, if it is there."""
    bucket = await nc.jetstream().key_value("qjet-results")
    try:
        found = await bucket.get(task_id)
    except KeyNotFoundError:
        return None
    return json.loads(found.value or b"")


async def final(nc: NatsClient, task_id: str, *, timeout_s: float = 30.0) -> dict[str, Any]:
    """Return the task once it is in the results bucket."""

    async def look() -> dict[str, Any] | None:
        try:
            return await entry(nc, task_id)
        except NatsError:  # the broker may be away for a moment
            return None

    return await wait_until(look, f"task {task_id} is final", timeout_s=timeout_s)


async def stream_messages(nc: NatsClient, stream: str) -> int:
    """Return how many messages a stream holds."""
    return (await nc.jetstream().stream_info(stream)).state.messages
