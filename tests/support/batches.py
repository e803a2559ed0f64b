"""Submitting and reading batches as any HTTP client does."""

import io
import json
from typing import Any

import aiohttp
from nats.aio.client import Client as NatsClient

from tests.support.circuits import BELL

Answer = tuple[int, dict[str, Any]]


async def post_batch(
    http: aiohttp.ClientSession, *tasks: dict[str, Any], key: str | None = None
) -> Answer:
    """Submit a batch; return status and body. Each task is a Bell circuit but for what is given."""
    headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
    body = io.BytesIO(json.dumps({"tasks": [{"qc": BELL, **task} for task in tasks]}).encode())
    async with http.post("/batches", data=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def accepted_batch(http: aiohttp.ClientSession, *tasks: dict[str, Any]) -> dict[str, Any]:
    """Submit a batch that is accepted, and return the answer."""
    status, body = await post_batch(http, *tasks)
    assert status == 202, body
    return body


async def get_batch(http: aiohttp.ClientSession, batch_id: str, **query: Any) -> Answer:
    """Read a batch; return status and body."""
    async with http.get(f"/batches/{batch_id}", params=query) as response:
        return response.status, await response.json(content_type=None)


async def counts_of(http: aiohttp.ClientSession, batch_id: str, **query: Any) -> dict[str, int]:
    """Return how many tasks of a batch have each status, without the zeros."""
    status, body = await get_batch(http, batch_id, **query)
    assert status == 200, body
    return {name: number for name, number in body["counts"].items() if number}


async def store_result(nc: NatsClient, task_id: str, counts: dict[str, int]) -> None:
    """Publish a result as an executor does."""
    task = {"task_id": task_id, "status": "completed", "message": "", "result": counts}
    payload = json.dumps({**task, "finished_at": "2026-01-01T00:00:00Z"}).encode()
    await nc.jetstream().publish(f"qjet.results.{task_id}", payload)
