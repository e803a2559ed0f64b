"""Any request gets a proper answer, any accepted task an end, and everybody lives on."""

import http.client
import json

import pytest
from hypothesis import event, given

from tests.fuzz.conftest import FUZZ, Services
from tests.fuzz.http_requests import broken_requests, odd_requests
from tests.fuzz.watch import Watch
from tests.support.raw_http import Answer, HttpRequest, exchange
from tests.support.services import Service

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),  # a body may be long
]

PATIENCE_S = 0.3
FINAL = {"completed", "error", "cancelled"}


@pytest.fixture(scope="module")
def watch(services: Services) -> Watch:
    return Watch(services.gateway, services.executor, services.resultstore)


def wait_final(gateway: Service, task_id: str) -> dict[str, object]:
    """Return the task once it is final."""
    get = HttpRequest("GET", f"GET /tasks/{task_id}?wait=10 HTTP/1.0\r\n\r\n".encode())
    answer = exchange(gateway, get)
    assert answer.status == 200
    task = json.loads(answer.body)
    assert task["status"] in FINAL
    return task


def check_answer(gateway: Service, answer: Answer) -> None:
    event(f"{answer.status}")
    assert answer.status < 500 or answer.status == 503, answer.body
    if answer.status == 202:
        task = wait_final(gateway, json.loads(answer.body)["task_id"])
        error = task["error"] or {}
        event(f"task: {error.get('code', task['status'])}")


@FUZZ
@given(odd_requests())
def test_any_request_gets_an_answer_that_programs_understand(services, watch, message):
    """Never a 500; what is refused is refused as a problem; what is accepted comes to an end."""
    with watch.over():
        answer = exchange(services.gateway, message)
        check_answer(services.gateway, answer)
    if 400 <= answer.status < 500 and message.method != "HEAD":
        assert answer.content_type.startswith("application/problem+json"), answer.body
        problem = json.loads(answer.body)
        assert problem["status"] == answer.status
        assert problem["code"]
        assert problem["detail"]


@FUZZ
@given(broken_requests())
def test_what_is_hardly_http_stops_nobody(services, watch, message):
    """It gets an answer, a closed connection or patience, and no error is logged."""
    with watch.over():
        try:
            answer = exchange(services.gateway, message, timeout_s=PATIENCE_S)
        except (OSError, http.client.HTTPException) as exc:
            event(type(exc).__name__)
        else:
            check_answer(services.gateway, answer)
