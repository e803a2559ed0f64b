"""The JetStream assets: their configuration, and making them so.

The resultstore makes them and keeps them as configured here; the other services use them.

Source: https://docs.nats.io/nats-concepts/jetstream/streams
"""

import logging
from typing import Final

import nats.js.errors
from msgspec import Struct
from nats.js import JetStreamContext, api

from qjet_shared import subjects
from qjet_shared.settings import Count, Seconds

log = logging.getLogger(__name__)

_NAME_IN_USE = 10058
"""The stream exists with another configuration (nats-server `server/errors.json`)."""

DEFAULT_ACK_WAIT_S: Final = 30.0
"""The executors' heartbeats and the consumers have to agree on this."""


class StoragePolicy(Struct, frozen=True, kw_only=True):
    """How much is kept, for how long (in seconds), and how often it is copied.

    `ack_wait_s` is the silence after which a delivery goes to somebody else.
    """

    result_ttl: Seconds = 86_400.0
    queue_max_tasks: Count = 1_000_000
    queue_max_bytes: Count = 1 << 30
    replicas: Count = 1
    ack_wait_s: Seconds = DEFAULT_ACK_WAIT_S

    @property
    def has_one_copy(self) -> bool:
        """Whether direct reads tell the truth: any copy answers them, also one that lags behind."""
        return self.replicas == 1


async def ensure_assets(js: JetStreamContext, policy: StoragePolicy) -> None:
    """Create what is missing and bring what exists to `policy`. Safe to run twice at once."""
    for config in _streams(policy):
        await _ensure_stream(js, config)
    await _ensure_bucket(js, policy)
    await _ensure_blobs(js, policy)
    for stream, consumer in _consumers(policy):
        await js.add_consumer(stream, consumer)


def _streams(policy: StoragePolicy) -> list[api.StreamConfig]:
    return [
        api.StreamConfig(
            name=subjects.TASKS_STREAM,
            description="Submitted tasks until their result is safe",
            subjects=[subjects.SUBMIT_ALL, *map(subjects.tasks, subjects.LANES)],
            retention=api.RetentionPolicy.WORK_QUEUE,
            storage=api.StorageType.FILE,
            discard=api.DiscardPolicy.NEW,
            max_msgs=policy.queue_max_tasks,
            max_bytes=policy.queue_max_bytes,
            allow_direct=policy.has_one_copy,
            allow_atomic=True,
            duplicate_window=120,
            num_replicas=policy.replicas,
        ),
        _kept_stream(
            policy,
            name=subjects.RESULTS_STREAM,
            description="One result per task, on its way to the bucket",
            subjects=[subjects.RESULTS_ALL],
        ),
        _kept_stream(
            policy,
            name=subjects.EVENTS_STREAM,
            description="One final event per task, republished to qjet.events; what led there",
            subjects=[subjects.FINAL_ALL, subjects.HISTORY_ALL, subjects.KEYS_ALL],
            republish=api.RePublish(src=subjects.FINAL_ALL, dest=subjects.EVENTS_REPUBLISHED),
        ),
    ]


def _kept_stream(policy: StoragePolicy, **special: object) -> api.StreamConfig:
    """Configure a stream that keeps its messages as long as results live, at least an hour."""
    common = api.StreamConfig(
        storage=api.StorageType.FILE,
        max_age=max(policy.result_ttl, 3600.0),
        allow_direct=policy.has_one_copy,
        allow_atomic=True,
        duplicate_window=120,
        num_replicas=policy.replicas,
    )
    return common.evolve(**special)


def _consumers(policy: StoragePolicy) -> list[tuple[str, api.ConsumerConfig]]:
    """List the durable consumers.

    `max_deliver` is unlimited on purpose: a message at its delivery limit stays in a work queue
    in silence, so the executors count deliveries themselves and end a hopeless task with an error.
    """
    work = api.ConsumerConfig(
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=policy.ack_wait_s,
        max_deliver=-1,
        max_ack_pending=65_536,
        max_waiting=8_192,
    )
    return [
        (
            subjects.TASKS_STREAM,
            work.evolve(
                durable_name=subjects.EXECUTORS_CONSUMERS[subjects.DEFAULT_LANE],
                filter_subjects=[subjects.SUBMIT_ALL, subjects.tasks(subjects.DEFAULT_LANE)],
            ),
        ),
        (
            subjects.TASKS_STREAM,
            work.evolve(
                durable_name=subjects.EXECUTORS_CONSUMERS[subjects.LARGE_LANE],
                filter_subject=subjects.tasks(subjects.LARGE_LANE),
            ),
        ),
        (subjects.RESULTS_STREAM, work.evolve(durable_name=subjects.RESULTSTORE_CONSUMER)),
        (subjects.EVENTS_STREAM, _counter(subjects.COMPLETED_COUNTER, "completed")),
        (subjects.EVENTS_STREAM, _counter(subjects.FAILED_COUNTER, "error")),
        (subjects.EVENTS_STREAM, _counter(subjects.CANCELLED_COUNTER, "cancelled")),
    ]


def _counter(name: str, status: str) -> api.ConsumerConfig:
    """Configure a consumer nobody reads: its pending count is how many tasks ended so."""
    return api.ConsumerConfig(
        durable_name=name,
        ack_policy=api.AckPolicy.NONE,
        filter_subject=f"qjet.final.*.{status}",
    )


async def _ensure_stream(js: JetStreamContext, config: api.StreamConfig) -> None:
    try:
        await js.add_stream(config)
    except nats.js.errors.BadRequestError as exc:
        if exc.err_code != _NAME_IN_USE:
            raise
        await js.update_stream(config)
        log.info("stream.updated", extra={"stream": config.name})


async def _ensure_bucket(js: JetStreamContext, policy: StoragePolicy) -> None:
    config = api.KeyValueConfig(
        bucket=subjects.RESULTS_BUCKET,
        description="Final states of tasks",
        history=1,
        ttl=policy.result_ttl,
        storage=api.StorageType.FILE,
        replicas=policy.replicas,
        direct=policy.has_one_copy,
    )
    try:
        await js.create_key_value(config)
    except nats.js.errors.BadRequestError as exc:
        if exc.err_code != _NAME_IN_USE:
            raise
    await _update_backing(js, subjects.RESULTS_BUCKET_STREAM, policy.result_ttl, policy)


async def _ensure_blobs(js: JetStreamContext, policy: StoragePolicy) -> None:
    """Blobs outlive the entries that name them by an hour."""
    ttl = policy.result_ttl + 3600.0
    try:
        await js.create_object_store(
            subjects.BLOBS_BUCKET,
            config=api.ObjectStoreConfig(
                description="Results too large for a message",
                ttl=ttl,
                storage=api.StorageType.FILE,
                replicas=policy.replicas,
            ),
        )
    except nats.js.errors.BadRequestError as exc:
        if exc.err_code != _NAME_IN_USE:
            raise
    await _update_backing(js, subjects.BLOBS_BUCKET_STREAM, ttl, policy)


async def _update_backing(
    js: JetStreamContext, stream: str, max_age_s: float, policy: StoragePolicy
) -> None:
    config = (await js.stream_info(stream)).config
    changed = config.evolve(
        max_age=max_age_s,
        num_replicas=policy.replicas,
        allow_direct=policy.has_one_copy,
        allow_atomic=True,
        duplicate_window=min(config.duplicate_window, max_age_s),
    )
    if changed != config:
        await js.update_stream(changed)
        log.info("stream.updated", extra={"stream": stream})
