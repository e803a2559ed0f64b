"""Errors over HTTP: the table of codes, and what a problem says."""

import json

import pytest

from qjet_gateway.api import NotFoundError
from qjet_gateway.problems import CONTENT_TYPE, STATUS_BY_CODE, problem_of, respond
from qjet_shared.errors import (
    AlreadyThereError,
    BrokerUnavailableError,
    FieldError,
    InvalidJsonError,
    PermanentError,
    QjetError,
    QueueFullError,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("invalid_json", 400),
        ("not_found", 404),
        ("conflict", 409),
        ("payload_too_large", 413),
        ("unsupported_media_type", 415),
        ("validation", 422),
        ("queue_full", 429),
        ("internal", 500),
        ("broker_unavailable", 503),
    ],
)
def test_each_code_has_its_status(code, status):
    """Clients switch on either."""
    assert STATUS_BY_CODE[code] == status


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (InvalidJsonError("m"), 400, "invalid_json"),
        (NotFoundError(), 404, "not_found"),
        (AlreadyThereError("s"), 409, "conflict"),
        (PermanentError("payload_too_large", "m"), 413, "payload_too_large"),
        (FieldError([("shots", "m")]), 422, "validation"),
        (QueueFullError(), 429, "queue_full"),
        (BrokerUnavailableError(), 503, "broker_unavailable"),
        (QjetError("never_heard_of", "m"), 500, "never_heard_of"),
    ],
)
def test_each_error_becomes_its_problem(exc, status, code):
    """Type, title, status, detail and code are all there."""
    problem = problem_of(exc)
    assert (problem.status, problem.code) == (status, code)
    assert problem.type == f"urn:qjet:problem:{code}"
    assert problem.title
    assert problem.detail == exc.message


def test_a_validation_problem_lists_its_fields():
    """Each with its message, in order."""
    problem = problem_of(FieldError([("a", "x"), ("b", "y")]))
    assert [(e.field, e.message) for e in problem.errors] == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("exc", [QueueFullError(), BrokerUnavailableError()])
def test_what_may_be_tried_again_says_when(exc):
    """`Retry-After` is a whole number of seconds."""
    response = respond(problem_of(exc))
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("exc", [NotFoundError(), InvalidJsonError("m")])
def test_what_trying_again_cannot_help_has_no_retry_after(exc):
    """Clients would only repeat the mistake."""
    assert "Retry-After" not in respond(problem_of(exc)).headers


def test_a_problem_is_answered_as_problem_json():
    """RFC 9457's content type, and JSON inside that repeats the status."""
    response = respond(problem_of(NotFoundError()), {"X-Extra": "1"})
    assert response.content_type == CONTENT_TYPE == "application/problem+json"
    assert response.status == 404
    assert response.headers["X-Extra"] == "1"
    assert json.loads(response.body)["status"] == 404
