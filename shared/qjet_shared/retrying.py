"""Trying again: for as long as the broker is away, or for as long as somebody waits."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import stamina

from qjet_shared.errors import TransientError

P = ParamSpec("P")
T = TypeVar("T")


def patiently(
    work: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Repeat `work` after each `TransientError`, with growing pauses, for ever.

    The first try goes without the retry machinery, which costs more than what it guards.
    """
    again = stamina.retry(
        on=TransientError, attempts=None, timeout=None, wait_initial=0.1, wait_max=1.0
    )(work)

    @wraps(work)
    async def first_then_again(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await work(*args, **kwargs)
        except TransientError:
            return await again(*args, **kwargs)

    return first_then_again


async def for_a_moment(
    work: Callable[[], Coroutine[Any, Any, T]],
    *,
    on: Callable[[Exception], bool],
    timeout_s: float,
) -> T:
    """Repeat `work` with short pauses after errors that `on` accepts, for `timeout_s` seconds.

    Then the last error goes on. The first try goes as in `patiently`.
    """
    try:
        return await work()
    except Exception as exc:
        if not on(exc):
            raise
    async for attempt in stamina.retry_context(
        on=on, attempts=None, timeout=timeout_s, wait_initial=0.05, wait_max=0.5, wait_jitter=0.1
    ):
        with attempt:
            return await work()
    raise AssertionError  # the last attempt returned or raised
