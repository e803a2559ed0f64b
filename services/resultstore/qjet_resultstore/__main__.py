"""Starts a resultstore: `python -m qjet_resultstore`. The composition root of this service."""

import asyncio

from qjet_resultstore.keeper import Keeper
from qjet_resultstore.settings import ResultstoreSettings
from qjet_resultstore.store import MOST_AT_ONCE, Store
from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.metrics import ResultstoreMetrics
from qjet_shared.ops import Pulse, ops_app, start_http
from qjet_shared.pull import Puller
from qjet_shared.service import run_service


async def serve(settings: ResultstoreSettings, instance: str, stop: asyncio.Event) -> None:
    """Store results until `stop` is set, then drain."""
    metrics = ResultstoreMetrics()
    broker = Broker(settings.nats_url, name=instance)
    store = Store(broker, metrics, on_room=lambda: puller.wake())  # noqa: PLW0108  # made below
    keeper = Keeper(broker, settings)
    have_assets = asyncio.Event()
    puller = Puller(
        broker,
        stream=subjects.RESULTS_STREAM,
        consumer=subjects.RESULTSTORE_CONSUMER,
        room=lambda: store.room,
        handle=store.accept,
        least=lambda: MOST_AT_ONCE // 2,
    )

    def is_ready() -> bool:
        return broker.is_connected and have_assets.is_set() and not stop.is_set()

    pulse = Pulse(
        broker,
        service="resultstore",
        instance=instance,
        is_ready=is_ready,
        broker_trouble=lambda: keeper.trouble,
    )

    async def work() -> None:
        await broker.first_connection()
        pulse.start()
        await keeper.make_assets()
        have_assets.set()
        await puller.start()
        await keeper.keep()

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


def main() -> None:
    """Run as a program."""
    run_service("resultstore", ResultstoreSettings, serve)


if __name__ == "__main__":
    main()
