"""Waiting for conditions rather than for time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.02


async def wait_until(
    predicate: Callable[[], T | Awaitable[T]], description: str, *, timeout_s: float = 20.0
) -> T:
    """Return the first true value of `predicate`, or fail saying what did not happen."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {description}")
        await asyncio.sleep(_POLL_S)
