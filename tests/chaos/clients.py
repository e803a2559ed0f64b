"""Clients as they are out there: plain ones, patient ones, and ones that hang up."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from nats.aio.client import Client as NatsClient
from nats.errors import Error as NatsError

ANSWER_WITHIN_S = 4.0
"""Shorter than a gateway is stopped for, so that clients try again while a request still hangs."""


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 stands for none, and `label` then says why."""

    status: int
    label: str
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def may_improve(self) -> bool:
        """Whether to ask again: no answer, too many requests, or not now."""
        return self.status in {0, 429, 503}


class HttpClient:
    """Speaks to one of several gateways."""

    def __init__(self, session: aiohttp.ClientSession, gateways: list[str]) -> None:
        self._session = session
        self._gateways = gateways

    def gateway(self, number: int) -> str:
        """Return a gateway's address; any number will do."""
        return self._gateways[number % len(self._gateways)]

    async def submit(self, gateway: int, body: dict[str, Any], key: str | None = None) -> Answer:
        """Post a task."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self._ask("POST", gateway, "/tasks", json=body, headers=headers)

    async def cancel(self, gateway: int, task_id: str) -> Answer:
        """Cancel a task."""
        return await self._ask("POST", gateway, f"/tasks/{task_id}/cancel")

    async def read(self, gateway: int, task_id: str) -> Answer:
        """Read a task, waiting a little for its end."""
        return await self._ask("GET", gateway, f"/tasks/{task_id}?wait=1")

    async def hang_up(self, gateway: int, body: dict[str, Any], *, part: float) -> None:
        """Send a part of a submission, or all of it, and close without reading the answer."""
        address = urlsplit(self.gateway(gateway))
        payload = json.dumps(body).encode()
        head = (
            f"POST /tasks HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(head.encode() + payload[: int(len(payload) * part)])
        await writer.drain()
        writer.close()

    async def _ask(self, method: str, gateway: int, path: str, **options: Any) -> Answer:
        url = self.gateway(gateway) + path
        try:
            async with self._session.request(method, url, **options) as response:
                body = await response.json(content_type=None)
                return Answer(response.status, str(response.status), body or {})
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            return Answer(0, type(exc).__name__)


async def submit_over_nats(nc: NatsClient, task_id: str, payload: bytes) -> Answer:
    """Submit as `nats req qjet.submit.<id>` does; status 202 stands for a PubAck."""
    try:
        said = await nc.request(f"qjet.submit.{task_id}", payload, timeout=ANSWER_WITHIN_S)
    except (NatsError, TimeoutError, OSError) as exc:
        return Answer(0, type(exc).__name__)
    body = json.loads(said.data or b"{}")
    if "error" in body or "seq" not in body:
        return Answer(503, json.dumps(body.get("error", "no PubAck")))
    return Answer(202, "PubAck", body)
