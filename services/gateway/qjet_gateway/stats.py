"""The figures of the whole system: one snapshot, shown as gauges and as JSON.

They come from JetStream itself, so every gateway shows the same and a restart loses none.
"""

from typing import Annotated

from msgspec import Meta, Struct
from nats.js.errors import NotFoundError

from qjet_gateway.cluster import Cluster
from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.errors import BrokerUnavailableError, translated
from qjet_shared.metrics import GatewayMetrics

_SERVICES = ("gateway", "executor", "resultstore")


class QueueStats(Struct, frozen=True, kw_only=True):
    """Tasks by where they are: waiting, running, taken but not running, and done."""

    pending_tasks: Annotated[int, Meta(description="In the stream, taken by no executor.")]
    active_tasks: Annotated[int, Meta(description="Running in a sandbox.")]
    reserved_tasks: Annotated[int, Meta(description="Taken by an executor, not running.")]
    completed_tasks: Annotated[int, Meta(description="Completed, until they expire.")]


class TaskStats(Struct, frozen=True, kw_only=True):
    """Tasks known to the system, by how they ended; finished ones until they expire."""

    total: int
    completed: int
    failed: int
    success_rate: Annotated[float, Meta(description="completed / (completed + failed); 0 to 1.")]


class NatsStats(Struct, frozen=True, kw_only=True):
    """This gateway's connection, and what the streams hold."""

    connected: bool
    reconnects: int
    in_msgs: int
    out_msgs: int
    tasks_stream_messages: int
    tasks_stream_bytes: int
    results_stream_messages: int


class Snapshot(Struct, frozen=True, kw_only=True):
    """All figures at one moment."""

    queue_stats: QueueStats
    task_stats: TaskStats
    nats_stats: NatsStats

    @property
    def cancelled(self) -> int:
        """How many tasks were cancelled, until they expire: those that nothing else counts."""
        queue, tasks = self.queue_stats, self.task_stats
        waiting = queue.pending_tasks + queue.active_tasks + queue.reserved_tasks
        return tasks.total - waiting - tasks.completed - tasks.failed


async def take_snapshot(broker: Broker, cluster: Cluster) -> Snapshot:
    """Ask JetStream and the cluster view.

    Raises:
        BrokerUnavailableError: JetStream does not answer.
    """
    broker.require_connection()
    try:
        return await _take(broker, cluster)
    except NotFoundError as exc:
        raise BrokerUnavailableError("The streams do not exist yet.") from exc


async def _take(broker: Broker, cluster: Cluster) -> Snapshot:
    js = broker.js
    with translated(subjects.TASKS_STREAM):
        lanes = [
            await js.consumer_info(subjects.TASKS_STREAM, consumer)
            for consumer in subjects.EXECUTORS_CONSUMERS.values()
        ]
        tasks = (await js.stream_info(subjects.TASKS_STREAM)).state
        results = (await js.stream_info(subjects.RESULTS_STREAM)).state
        completed = await _counted(broker, subjects.COMPLETED_COUNTER)
        failed = await _counted(broker, subjects.FAILED_COUNTER)
        cancelled = await _counted(broker, subjects.CANCELLED_COUNTER)
    pending = sum(lane.num_pending or 0 for lane in lanes)
    taken = sum(lane.num_ack_pending or 0 for lane in lanes)
    active = min(cluster.running_count, taken)
    judged = completed + failed
    return Snapshot(
        queue_stats=QueueStats(
            pending_tasks=pending,
            active_tasks=active,
            reserved_tasks=taken - active,
            completed_tasks=completed,
        ),
        task_stats=TaskStats(
            total=pending + taken + judged + cancelled,
            completed=completed,
            failed=failed,
            success_rate=completed / judged if judged else 0.0,
        ),
        nats_stats=NatsStats(
            connected=broker.is_connected,
            reconnects=broker.nc.stats["reconnects"],
            in_msgs=broker.nc.stats["in_msgs"],
            out_msgs=broker.nc.stats["out_msgs"],
            tasks_stream_messages=tasks.messages,
            tasks_stream_bytes=tasks.bytes,
            results_stream_messages=results.messages,
        ),
    )


def show(snapshot: Snapshot, cluster: Cluster, metrics: GatewayMetrics) -> None:
    """Set the gauges to what the snapshot says."""
    queue, tasks = snapshot.queue_stats, snapshot.task_stats
    metrics.queue_depth.set(queue.pending_tasks)
    metrics.tasks.labels("pending").set(queue.pending_tasks)
    metrics.tasks.labels("running").set(queue.active_tasks)
    metrics.tasks.labels("reserved").set(queue.reserved_tasks)
    metrics.tasks.labels("completed").set(tasks.completed)
    metrics.tasks.labels("error").set(tasks.failed)
    metrics.tasks.labels("cancelled").set(snapshot.cancelled)
    for service in _SERVICES:
        metrics.live_instances.labels(service).set(cluster.live(service))


async def _counted(broker: Broker, consumer: str) -> int:
    """Return how many final events of one kind there are: what the consumer has before it."""
    info = await broker.js.consumer_info(subjects.EVENTS_STREAM, consumer)
    return info.num_pending or 0
