"""The HTTP side of the contract: thin handlers over `Api`."""

import logging
import math
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from qjet_gateway import health, idempotency, stats
from qjet_gateway.api import Api
from qjet_gateway.cluster import Cluster
from qjet_gateway.problems import Handler, problems
from qjet_shared.broker import Broker
from qjet_shared.errors import BrokerUnavailableError, FieldError, InvalidJsonError, QjetError
from qjet_shared.metrics import GatewayMetrics
from qjet_shared.ops import metrics_response, probe_response

log = logging.getLogger(__name__)

API: Final = web.AppKey("api", Api)
BROKER: Final = web.AppKey("broker", Broker)
CLUSTER: Final = web.AppKey("cluster", Cluster)
METRICS: Final = web.AppKey("metrics", GatewayMetrics)

LONGEST_WAIT_S: Final = 60.0
_NO_ROUTE: Final = "unmatched"


def build_app(max_body_bytes: int) -> web.Application:
    """Make the application with its routes and middlewares; the caller adds the parts."""
    app = web.Application(client_max_size=max_body_bytes, middlewares=[measured, problems])
    app.router.add_post("/tasks", post_task)
    app.router.add_get("/tasks/{task_id}", get_task)
    app.router.add_delete("/tasks/{task_id}", delete_task)
    app.router.add_post("/tasks/{task_id}/cancel", cancel_task)
    app.router.add_post("/batches", post_batch)
    app.router.add_get("/batches/{batch_id}", get_batch)
    app.router.add_get("/health", get_health)
    app.router.add_get("/health/live", get_live)
    app.router.add_get("/health/ready", get_ready)
    app.router.add_get("/metrics", get_metrics)
    return app


async def post_task(request: web.Request) -> web.Response:
    """Accept a task."""
    _require_json(request)
    key = request.headers.get(idempotency.HEADER)
    accepted = await request.app[API].submit_json(await _body(request), key=key)
    return _json(accepted, status=202, headers={"Location": f"/tasks/{accepted.task_id}"})


async def get_task(request: web.Request) -> web.Response:
    """Show a task, waiting for its end where asked to."""
    task_id = request.match_info["task_id"]
    body = await request.app[API].get(task_id, wait_s=_wait_s(request))
    return web.Response(body=body, content_type="application/json")


async def cancel_task(request: web.Request) -> web.Response:
    """Cancel a task and show it."""
    body = await request.app[API].cancel(request.match_info["task_id"])
    return web.Response(body=body, content_type="application/json")


async def delete_task(request: web.Request) -> web.Response:
    """Remove a finished task."""
    await request.app[API].delete(request.match_info["task_id"])
    return web.Response(status=204)


async def post_batch(request: web.Request) -> web.Response:
    """Accept a batch of tasks, all or none."""
    _require_json(request)
    key = request.headers.get(idempotency.HEADER)
    accepted = await request.app[API].submit_batch(await _body(request), key=key)
    return _json(accepted, status=202, headers={"Location": f"/batches/{accepted.batch_id}"})


async def get_batch(request: web.Request) -> web.StreamResponse:
    """Show a batch, waiting for its end where asked to; what is large is sent in pieces."""
    batch_id = request.match_info["batch_id"]
    wait_s, is_full = _wait_s(request), _flag(request, "results")
    pieces = request.app[API].get_batch(batch_id, wait_s=wait_s, is_full=is_full)
    first, second = await anext(pieces), await anext(pieces, None)
    if second is None:
        return web.Response(body=first, content_type="application/json")
    return await _stream(request, [first, second], pieces)


async def get_health(request: web.Request) -> web.Response:
    """Show every part's health."""
    found = await health.check(request.app[BROKER], request.app[CLUSTER])
    return _json(found, status=200 if found.status == "ok" else 503)


async def get_live(_: web.Request) -> web.Response:
    """Tell that the process runs."""
    return probe_response(is_fine=True)


async def get_ready(request: web.Request) -> web.Response:
    """Tell whether submissions are accepted."""
    return probe_response(is_fine=await health.can_accept(request.app[BROKER]))


async def get_metrics(request: web.Request) -> web.Response:
    """Show the metrics: Prometheus text, or JSON where the request accepts that."""
    app = request.app
    broker, cluster, metrics = app[BROKER], app[CLUSTER], app[METRICS]
    wants_json = "application/json" in request.headers.get("Accept", "")
    try:
        snapshot = await stats.take_snapshot(broker, cluster)
    except BrokerUnavailableError:
        if wants_json:
            raise
    else:
        stats.show(snapshot, cluster, metrics)
        if wants_json:
            return _json(snapshot)
    return metrics_response(metrics)


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count and time every request by its route's pattern, never by its path."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource else _NO_ROUTE
    method = request.method if resource else "other"
    start = time.perf_counter()
    status = 499  # the client went away
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPRedirection as exc:
        status = exc.status
        raise
    finally:
        metrics = request.app[METRICS]
        metrics.http_requests.labels(method, route, str(status)).inc()
        metrics.http_duration_s.labels(method, route).observe(time.perf_counter() - start)
    return response


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except (web.RequestPayloadError, HttpProcessingError) as exc:
        raise InvalidJsonError("The body cannot be read as its headers describe it.") from exc


def _require_json(request: web.Request) -> None:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(
            text=f"Send JSON with the header `Content-Type: application/json`, "
            f"not {request.content_type}."
        )


async def _stream(
    request: web.Request, start: list[bytes], rest: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send JSON in pieces, each once the client has taken the last.

    It is too late for a problem when one cannot be read: then the answer is cut off.
    """
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        for piece in start:
            await response.write(piece)
        async for piece in rest:
            await response.write(piece)
    except QjetError as exc:
        log.warning("http.cut", extra={"path": request.path, "error": exc.message})
        if request.transport:
            request.transport.abort()
    except ConnectionResetError:  # the client went away
        pass
    return response


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "false")
    if text not in {"true", "false"}:
        raise FieldError([(name, f"true or false; got {text[:40]!r}")])
    return text == "true"


def _wait_s(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    try:
        wait_s = float(text)
    except ValueError:
        wait_s = math.nan
    if not wait_s >= 0:
        raise FieldError([("wait", f"seconds to wait, 0 to {LONGEST_WAIT_S:g}; got {text[:40]!r}")])
    return min(wait_s, LONGEST_WAIT_S)


def _json(
    message: msgspec.Struct, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(message),
        status=status,
        content_type="application/json",
        headers=headers,
    )
