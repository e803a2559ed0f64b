"""Every error the gateway answers, as RFC 9457 problem details: one table, one middleware."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from qjet_shared.errors import FieldError, QjetError
from qjet_shared.messages.answers import FieldProblem, Problem

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1

STATUS_BY_CODE: Final = {
    "invalid_json": 400,
    "not_found": 404,
    "conflict": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "validation": 422,
    "queue_full": 429,
    "internal": 500,
    "broker_unavailable": 503,
}
"""The one place that maps an error's code to an HTTP status."""

_RETRYABLE: Final = frozenset({"queue_full", "broker_unavailable"})
_CODE_BY_STATUS: Final = {status: code for code, status in STATUS_BY_CODE.items()}
_TITLES: Final = {
    "invalid_json": "The body is not JSON",
    "validation": "The input is not valid",
    "queue_full": "The queue is full",
    "broker_unavailable": "The message broker is unavailable",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem_of(exc: QjetError) -> Problem:
    """Describe one of qjet's errors."""
    fields = exc.errors if isinstance(exc, FieldError) else []
    return _problem(
        STATUS_BY_CODE.get(exc.code, 500),
        exc.code,
        exc.message,
        tuple(FieldProblem(field, message) for field, message in fields),
    )


def respond(problem: Problem, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with a problem."""
    extra = {"Retry-After": str(RETRY_AFTER_S)} if problem.code in _RETRYABLE else {}
    return web.Response(
        body=msgspec.json.encode(problem),
        status=problem.status,
        content_type=CONTENT_TYPE,
        headers={**(headers or {}), **extra},
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every exception into a problem; the unexpected is logged, never shown."""
    try:
        return await handler(request)
    except QjetError as exc:
        return respond(problem_of(exc))
    except web.HTTPRedirection:
        raise
    except web.HTTPException as exc:
        return _respond_http(request, exc)
    except Exception:
        log.exception("http.failed", extra={"path": request.path})
        return respond(_problem(500, "internal", "Something went wrong here; it was logged."))


def _respond_http(request: web.Request, exc: web.HTTPException) -> web.Response:
    """Describe what aiohttp itself refuses: unknown paths, wrong methods, bodies too large."""
    if isinstance(exc, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(exc.allowed_methods))
        detail = f"{request.path} takes {allowed}, not {request.method}."
        return respond(_problem(405, "method_not_allowed", detail), {"Allow": allowed})
    detail = exc.text or exc.reason
    if exc.status == HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {request.path}."
    code = _CODE_BY_STATUS.get(exc.status, HTTPStatus(exc.status).name.lower())
    return respond(_problem(exc.status, code, detail))


def _problem(status: int, code: str, detail: str, errors: tuple[FieldProblem, ...] = ()) -> Problem:
    return Problem(
        type=f"urn:qjet:problem:{code}",
        title=_TITLES.get(code, HTTPStatus(status).phrase),
        status=status,
        detail=detail,
        code=code,
        errors=errors,
    )
