"""Starts an executor: `python -m qjet_executor`. The composition root of this service."""

import asyncio

from qjet_executor.pool import Pool, PoolShape
from qjet_executor.seats import Seats
from qjet_executor.settings import ExecutorSettings
from qjet_executor.worker import Worker
from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.metrics import ExecutorMetrics
from qjet_shared.ops import Pulse, ops_app, start_http
from qjet_shared.pull import Puller
from qjet_shared.service import run_service
from qjet_shared.settings import SettingsError


async def serve(settings: ExecutorSettings, instance: str, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then drain.

    Raises:
        SettingsError: no sandbox can run as the settings want it.
    """
    metrics = ExecutorMetrics()
    broker = Broker(settings.nats_url, name=instance)
    pullers: list[Puller] = []

    def wake() -> None:
        for puller in pullers:
            puller.wake()

    seats = Seats(settings.sandbox_count)
    hopeless: list[str] = []

    def give_up(reason: str) -> None:
        hopeless.append(reason)
        stop.set()

    pool = Pool(_shape(settings, seats), metrics, on_free=wake, on_hopeless=give_up)
    worker = Worker(
        broker=broker,
        pool=pool,
        seats=seats,
        settings=settings,
        metrics=metrics,
        instance=instance,
        on_room=wake,
    )
    pullers += [_puller(broker, worker, seats, lane) for lane in subjects.LANES]

    def is_ready() -> bool:
        return broker.is_connected and pool.is_warm and not stop.is_set()

    pulse = Pulse(
        broker,
        service="executor",
        instance=instance,
        is_ready=is_ready,
        running=lambda: worker.running,
    )
    http = await start_http(ops_app(metrics, is_ready), settings, settings.metrics_port)
    broker.start()
    pool.start()
    work = asyncio.create_task(_work(broker, worker, pullers, pulse), name="executor.work")
    await stop.wait()
    await asyncio.gather(*(puller.stop() for puller in pullers))
    await worker.hands.drain(settings.drain_s)
    await pulse.stop()
    work.cancel()
    await pool.close()
    await broker.close()
    await http.cleanup()
    if hopeless:
        raise SettingsError(f"QJET_EXECUTOR_DEVICE={settings.executor_device!r}: {hopeless[0]}")


def _puller(broker: Broker, worker: Worker, seats: Seats, lane: str) -> Puller:
    return Puller(
        broker,
        stream=subjects.TASKS_STREAM,
        consumer=subjects.EXECUTORS_CONSUMERS[lane],
        room=lambda: worker.room(lane),
        handle=worker.hands.accept,
        least=lambda: seats.worth_asking(lane),
    )


async def _work(broker: Broker, worker: Worker, pullers: list[Puller], pulse: Pulse) -> None:
    await broker.first_connection()
    await worker.listen()
    pulse.start()
    for puller in pullers:
        await puller.start()
    await worker.hands.keep_in_progress()


def _shape(settings: ExecutorSettings, seats: Seats) -> PoolShape:
    return PoolShape(
        size=seats.sandboxes,
        most_memory_mb=settings.memory_plan.most_mb,
        threads=settings.cores,
        max_tasks=settings.sandbox_max_tasks,
        max_result_mb=settings.max_result_mb,
        device=settings.executor_device,
    )


def main() -> None:
    """Run as a program."""
    run_service("executor", ExecutorSettings, serve)


if __name__ == "__main__":
    main()
