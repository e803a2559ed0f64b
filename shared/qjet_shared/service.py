"""The frame every service runs in: settings, logs, signals, exit code."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina.instrumentation
import uvloop

from qjet_shared import __version__
from qjet_shared.ids import instance_name
from qjet_shared.logs import configure_logging
from qjet_shared.settings import CommonSettings, SettingsError, read_settings

log = logging.getLogger(__name__)

Settings = TypeVar("Settings", bound=CommonSettings)
_BAD_USE = 2


def run_service(
    name: str,
    kind: type[Settings],
    serve: Callable[[Settings, str, asyncio.Event], Awaitable[None]],
) -> None:
    """Read the settings, then run `serve(settings, instance, stop)` until SIGTERM or SIGINT.

    `serve` returns once `stop` is set and it has drained; the process then exits with 0.
    A `SettingsError` from it, for what shows only at work, is logged; the exit code is then 2.
    """
    try:
        settings = read_settings(kind, os.environ)
    except SettingsError as exc:
        sys.stderr.write(f"qjet-{name}: {exc}\n")
        sys.exit(_BAD_USE)
    instance = instance_name()
    stamina.instrumentation.set_on_retry_hooks([_log_retry])
    configure_logging(service=name, instance=instance, level=settings.log_level)
    try:
        uvloop.run(_until_signalled(serve, settings, instance))
    except SettingsError as exc:
        log.critical("service.unusable", extra={"error": str(exc)})
        sys.exit(_BAD_USE)


async def _until_signalled(
    serve: Callable[[Settings, str, asyncio.Event], Awaitable[None]],
    settings: Settings,
    instance: str,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info("service.started", extra={"version": __version__, "pid": os.getpid()})
    await serve(settings, instance, stop)
    log.info("service.stopped")


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    """Log a retry without its arguments, which may hold a user's data."""
    extra = {"call": details.name, "retry": details.retry_num, "wait_s": details.wait_for}
    log.warning("retry.scheduled", extra={**extra, "cause": type(details.caused_by).__name__})
