"""The metrics of every service, defined once: names, labels, units and buckets.

One registry per process. A label never holds a task id.

Source: https://prometheus.io/docs/practices/naming/
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from qjet_shared import __version__

CONTENT_TYPE = CONTENT_TYPE_LATEST
_HTTP_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_PHASE_BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    *(10, 60, 300, 3600),
)
"""A known circuit's phases take tenths of a millisecond, a task's time in a full queue hours."""


class ServiceMetrics:
    """What every service exposes; each service's own class adds to it."""

    def __init__(self, service: str) -> None:
        """Make a registry of this process's own."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        info = Gauge(
            "qjet_build_info",
            "Always 1; the labels say what runs here.",
            ["service", "version"],
            registry=self.registry,
        )
        info.labels(service, __version__).set(1)

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self.registry)


class GatewayMetrics(ServiceMetrics):
    """The gateway: requests, submissions, and the state of the whole system as it sees it."""

    def __init__(self) -> None:
        """Register the gateway's metrics."""
        super().__init__("gateway")
        self.http_requests = Counter(
            "qjet_http_requests_total",
            "HTTP requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.http_duration_s = Histogram(
            "qjet_http_request_duration_seconds",
            "Time to answer an HTTP request; long polls include their wait.",
            ["method", "route"],
            buckets=_HTTP_BUCKETS_S,
            registry=self.registry,
        )
        self.submitted = tasks_submitted(self.registry)
        self.queue_depth = Gauge(
            "qjet_queue_depth",
            "Tasks in the stream that no executor has taken. The same at every gateway.",
            registry=self.registry,
        )
        self.tasks = Gauge(
            "qjet_tasks",
            "Tasks known to the system, by state; finished ones until they expire. "
            "The same at every gateway.",
            ["state"],
            registry=self.registry,
        )
        self.live_instances = Gauge(
            "qjet_live_instances",
            "Processes whose heartbeat this gateway hears.",
            ["service"],
            registry=self.registry,
        )


class ExecutorMetrics(ServiceMetrics):
    """One executor: what it ran, how long each phase took, how its sandboxes fare."""

    def __init__(self) -> None:
        """Register the executor's metrics."""
        super().__init__("executor")
        self.submitted = tasks_submitted(self.registry)
        self.finished = Counter(
            "qjet_tasks_finished_total",
            "Tasks whose final result this executor delivered.",
            ["outcome"],
            registry=self.registry,
        )
        self.errors = Counter(
            "qjet_task_errors_total",
            "Tasks that this executor ended with an error, by code.",
            ["code"],
            registry=self.registry,
        )
        self.phase_s = _task_phases(self.registry)
        self.in_flight = Gauge(
            "qjet_tasks_in_flight",
            "Tasks taken from the queue and not yet handed on.",
            registry=self.registry,
        )
        self.redeliveries = Counter(
            "qjet_task_redeliveries_total",
            "Deliveries of a task that had been delivered before.",
            registry=self.registry,
        )
        self.duplicates = Counter(
            "qjet_duplicate_results_total",
            "Deliveries that changed nothing, for the task already had its result.",
            registry=self.registry,
        )
        self.sandboxes = Gauge(
            "qjet_sandboxes", "Sandbox processes, by state.", ["state"], registry=self.registry
        )
        self.sandbox_restarts = Counter(
            "qjet_sandbox_restarts_total",
            "Sandboxes replaced, and why.",
            ["reason"],
            registry=self.registry,
        )


class ResultstoreMetrics(ServiceMetrics):
    """The resultstore: what it wrote."""

    def __init__(self) -> None:
        """Register the resultstore's metrics."""
        super().__init__("resultstore")
        self.stored = Counter(
            "qjet_results_stored_total",
            "Final states written to the results bucket.",
            ["outcome"],
            registry=self.registry,
        )
        self.duplicates = Counter(
            "qjet_duplicate_results_total",
            "Results that changed nothing, for the task already had its final state.",
            registry=self.registry,
        )
        self.invalid = Counter(
            "qjet_invalid_results_total",
            "Messages on the results stream that are not results.",
            registry=self.registry,
        )
        self.store_s = _task_phases(self.registry).labels("store")


def tasks_submitted(registry: CollectorRegistry) -> Counter:
    """Make the counter that whoever first sees a submission increments."""
    return Counter(
        "qjet_tasks_submitted_total",
        "Tasks accepted: over HTTP, over qjet.api.submit (nats), or on qjet.submit.* (subject).",
        ["source"],
        registry=registry,
    )


def _task_phases(registry: CollectorRegistry) -> Histogram:
    return Histogram(
        "qjet_task_phase_seconds",
        "Time a task spent in each phase: queue, parse, transpile, simulate, count, deliver (until "
        "the broker has its result) at the executor, store (from there into the bucket) at the "
        "resultstore.",
        ["phase"],
        buckets=_PHASE_BUCKETS_S,
        registry=registry,
    )
