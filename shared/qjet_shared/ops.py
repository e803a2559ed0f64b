"""The operators' side of a service: metrics and probes over HTTP, heartbeats over NATS."""

import asyncio
import logging
import socket
from collections.abc import Callable

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from qjet_shared import __version__, subjects
from qjet_shared.broker import Broker
from qjet_shared.errors import BrokerUnavailableError
from qjet_shared.messages.notices import Heartbeat, RunningTask
from qjet_shared.metrics import CONTENT_TYPE, ServiceMetrics
from qjet_shared.settings import CommonSettings

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL_S = 1.0


def metrics_response(metrics: ServiceMetrics) -> web.Response:
    """Answer a scrape."""
    return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def probe_response(*, is_fine: bool) -> web.Response:
    """Answer a probe: 200 or 503, with the same word in the body."""
    status, word = (200, "ok") if is_fine else (503, "unavailable")
    return web.json_response({"status": word}, status=status)


def ops_app(metrics: ServiceMetrics, is_ready: Callable[[], bool]) -> web.Application:
    """Build the small web application of a service that has no public API."""

    async def get_metrics(_: web.Request) -> web.Response:
        return metrics_response(metrics)

    async def live(_: web.Request) -> web.Response:
        return probe_response(is_fine=True)

    async def ready(_: web.Request) -> web.Response:
        return probe_response(is_fine=is_ready())

    app = web.Application()
    app.router.add_get("/metrics", get_metrics)
    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    return app


async def start_http(
    app: web.Application, settings: CommonSettings, port: int, *, shutdown_timeout_s: float = 1.0
) -> web.AppRunner:
    """Serve `app` on the inherited listening socket, or else on the settings' host and `port`."""
    logging.getLogger("aiohttp.server").addFilter(_is_our_fault)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout_s)
    await runner.setup()
    site: web.BaseSite
    if settings.listen_fd is not None:
        site = web.SockSite(runner, socket.socket(fileno=settings.listen_fd))
    else:
        site = web.TCPSite(runner, settings.host, port)
    await site.start()
    log.info("http.listening", extra={"address": site.name})
    return runner


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Whether an error that aiohttp logs is for us to look at: what is no HTTP gets its 400."""
    exc = record.exc_info[1] if record.exc_info else None
    return not isinstance(exc, HttpProcessingError | web.RequestPayloadError)


class Pulse:
    """Tells the world once a second that this process lives, and once more on `beat`."""

    def __init__(  # noqa: PLR0913  # all but one by name
        self,
        broker: Broker,
        *,
        service: str,
        instance: str,
        is_ready: Callable[[], bool],
        running: Callable[[], tuple[RunningTask, ...]] = tuple,
        broker_trouble: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Take who speaks and how to find out what to say."""
        self._broker = broker
        self._service = service
        self._instance = instance
        self._is_ready = is_ready
        self._running = running
        self._broker_trouble = broker_trouble
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin beating."""
        self._task = asyncio.create_task(self._keep_beating(), name="pulse")

    async def stop(self) -> None:
        """Stop, and say that this process takes no more work."""
        if self._task:
            self._task.cancel()
        self._is_ready = lambda: False
        await self.beat()

    async def beat(self) -> None:
        """Send one heartbeat, if NATS can be reached."""
        heartbeat = Heartbeat(
            service=self._service,
            instance=self._instance,
            version=__version__,
            is_ready=self._is_ready(),
            running=self._running(),
            broker_trouble=self._broker_trouble(),
        )
        subject = subjects.heartbeat(self._service, self._instance)
        if not self._broker.is_connected:
            return
        try:
            await self._broker.announce(subject, msgspec.json.encode(heartbeat))
        except BrokerUnavailableError:
            log.debug("pulse.unheard")

    async def _keep_beating(self) -> None:
        while True:
            await self.beat()
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)
