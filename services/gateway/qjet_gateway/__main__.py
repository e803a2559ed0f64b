"""Starts a gateway: `python -m qjet_gateway`. The composition root of this service."""

import asyncio

from qjet_gateway.api import Api
from qjet_gateway.batch_entrance import BatchEntrance
from qjet_gateway.cluster import Cluster
from qjet_gateway.docs import add_docs
from qjet_gateway.micro import start_micro_service
from qjet_gateway.reader import Reader
from qjet_gateway.routes import API, BROKER, CLUSTER, METRICS, build_app
from qjet_gateway.settings import GatewaySettings
from qjet_gateway.submit import Entrance
from qjet_shared.broker import Broker
from qjet_shared.metrics import GatewayMetrics
from qjet_shared.ops import Pulse, start_http
from qjet_shared.service import run_service


async def serve(settings: GatewaySettings, instance: str, stop: asyncio.Event) -> None:
    """Answer until `stop` is set, then finish the requests in hand."""
    metrics = GatewayMetrics()
    broker = Broker(settings.nats_url, name=instance)
    cluster = Cluster(broker)
    reader = Reader(broker, cluster, settings.limits)
    api = Api(
        broker=broker,
        reader=reader,
        cluster=cluster,
        entrance=Entrance(broker, reader, cluster, metrics.submitted),
        batch_entrance=BatchEntrance(broker, cluster, metrics.submitted),
        limits=settings.limits,
        patience_s=settings.patience_s,
    )
    pulse = Pulse(
        broker, service="gateway", instance=instance, is_ready=lambda: broker.is_connected
    )
    app = build_app(settings.max_body_bytes)
    app[API], app[BROKER], app[CLUSTER], app[METRICS] = api, broker, cluster, metrics
    add_docs(app, settings.limits)
    http = await start_http(app, settings, settings.http_port, shutdown_timeout_s=settings.drain_s)
    broker.start()
    connecting = asyncio.create_task(_connect(broker, cluster, api, pulse), name="gateway.connect")
    await stop.wait()
    connecting.cancel()
    cluster.close()
    await pulse.stop()
    await http.cleanup()
    await broker.close()


async def _connect(broker: Broker, cluster: Cluster, api: Api, pulse: Pulse) -> None:
    await broker.first_connection()
    await cluster.start()
    await start_micro_service(broker, api)
    pulse.start()


def main() -> None:
    """Run as a program."""
    run_service("gateway", GatewaySettings, serve)


if __name__ == "__main__":
    main()
