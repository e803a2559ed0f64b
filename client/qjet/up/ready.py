"""Waits until a task can run, and says what is in the way if that takes longer than usual."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import httpx

_TIMEOUT_S: Final = 180.0
_PATIENT_FOR_S: Final = 3.0
_POLL_S: Final = 0.05
_PARTS: Final = ("nats", "resultstore", "executors")
"""In the order in which one needs the other."""


class NotReadyError(Exception):
    """The stack is not healthy in time; the text says what is missing."""


async def until_healthy(url: str, report: Callable[[str], None]) -> None:
    """Wait until the gateway's health at `url` is fine; `report` what has been missing for long.

    Raises:
        NotReadyError: it took too long.
    """
    start = time.monotonic()
    missing, since, said = "", start, ""
    async with httpx.AsyncClient(timeout=2) as http:
        while (found := await _missing(http, url)) is not None:
            now = time.monotonic()
            if found != missing:
                missing, since = found, now
            if missing != said and now - since > _PATIENT_FOR_S:
                said = missing
                report(f"waiting: {said}")
            if now - start > _TIMEOUT_S:
                raise NotReadyError(f"Not ready in time: {missing}")
            await asyncio.sleep(_POLL_S)


async def _missing(http: httpx.AsyncClient, url: str) -> str | None:
    """Return what the first part that is not healthy misses, or None when all are."""
    try:
        answer = await http.get(url)
    except httpx.TransportError:
        return "The gateway does not answer."
    return None if answer.is_success else _first_of(answer)


def _first_of(answer: httpx.Response) -> str:
    try:
        details: dict[str, Any] = answer.json()["details"]
    except (ValueError, KeyError, TypeError):
        return f"The gateway answers {answer.status_code}."
    return next((str(details[part]) for part in _PARTS if part in details), "")
