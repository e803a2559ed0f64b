"""Starts a resultstore: `python -m qjet_resultstore`. The composition root of this service."""

import asyncio
import logging

import nats.errors
import nats.js.errors
import stamina

from qjet_resultstore.settings import ResultstoreSettings
from qjet_resultstore.store import MOST_AT_ONCE, Store
from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.metrics import ResultstoreMetrics
from qjet_shared.ops import Pulse, ops_app, start_http
from qjet_shared.pull import Puller
from qjet_shared.service import run_service
from qjet_shared.streams import ensure_assets

log = logging.getLogger("qjet_resultstore")


async def serve(settings: ResultstoreSettings, instance: str, stop: asyncio.Event) -> None:
    """Store results until `stop` is set, then drain."""
    metrics = ResultstoreMetrics()
    broker = Broker(settings.nats_url, name=instance)
    store = Store(broker, metrics, on_room=lambda: puller.wake())  # noqa: PLW0108  # made below
    have_assets = asyncio.Event()
    reconnected = asyncio.Event()
    broker.on_reconnect(reconnected.set)
    puller = Puller(
        broker,
        stream=subjects.RESULTS_STREAM,
        consumer=subjects.RESULTSTORE_CONSUMER,
        room=lambda: store.room,
        handle=store.accept,
        least=MOST_AT_ONCE // 2,
    )

    def is_ready() -> bool:
        return broker.is_connected and have_assets.is_set() and not stop.is_set()

    pulse = Pulse(broker, service="resultstore", instance=instance, is_ready=is_ready)

    async def work() -> None:
        await broker.first_connection()
        pulse.start()
        await _make_assets(broker, settings)
        have_assets.set()
        await puller.start()
        while True:  # a broker that comes back may have lost its disk
            await reconnected.wait()
            reconnected.clear()
            await _make_assets(broker, settings)

    http = await start_http(ops_app(metrics, is_ready), settings, settings.metrics_port)
    broker.start()
    working = asyncio.create_task(work(), name="resultstore.work")
    await stop.wait()
    working.cancel()
    await puller.stop()
    await store.drain(settings.drain_s)
    await pulse.stop()
    await broker.close()
    await http.cleanup()


@stamina.retry(
    on=(nats.errors.Error, nats.js.errors.Error, OSError),
    attempts=None,
    timeout=None,
    wait_max=5.0,
)
async def _make_assets(broker: Broker, settings: ResultstoreSettings) -> None:
    try:
        await ensure_assets(broker.js, settings.policy)
    except nats.errors.Error as exc:
        log.warning("assets.failed", extra={"error": str(exc)})
        raise
    log.info("assets.ready")


def main() -> None:
    """Run as a program."""
    run_service("resultstore", ResultstoreSettings, serve)


if __name__ == "__main__":
    main()
