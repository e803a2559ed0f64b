"""Whatever is published on qjet's subjects, tasks reach an end and the next good one is quick."""

import itertools
import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from qjet_gateway.idempotency import task_id_of_key
from qjet_shared import subjects
from tests.fuzz.conftest import EXAMPLES, FUZZ, Services
from tests.fuzz.nats_messages import (
    ID_A,
    ID_B,
    ID_OF_KEY,
    KEY,
    SUBJECTS_OF_A_TASK,
    nats_messages,
)
from tests.fuzz.watch import Watch
from tests.support.circuits import BELL
from tests.support.raw_http import HttpRequest, exchange
from tests.support.raw_nats import Answer, Message, RawNats

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),  # a payload may be long
]

LAYER = "h q; t q; " + "".join(f"cx q[{i}],q[{i + 1}]; " for i in range(18))
SLOW = json.dumps(
    {
        "qc": 'OPENQASM 2.0; include "qelib1.inc"; qreg q[19]; creg c[19]; '
        + LAYER * 4
        + "measure q -> c;",
        "seed": 1,
        "shots": 1,
    }
).encode()
"""Runs for some tenths of a second."""

GOOD_S = 10.0
FINAL_S = 20.0
UNANSWERED_S = 0.5
NUMBERS = itertools.count(1)
KNOWN_ERRORS = {"result.invalid"}
API = (b"qjet.api.submit", b"qjet.api.get", b"qjet.api.cancel")
QUEUED = (b"qjet.submit.", b"qjet.tasks.")


@pytest.fixture(scope="module")
def watch(services: Services) -> Watch:
    all_three = services.gateway, services.executor, services.resultstore
    return Watch(*all_three, expected=KNOWN_ERRORS)


@pytest.fixture(scope="module")
def raw(services: Services) -> Iterator[RawNats]:
    connection = RawNats(services.broker.url)
    yield connection
    connection.close()


def with_new_names(message: Message, number: int) -> Message:
    """Give the example names that no other has."""
    key = b"key-%d" % number
    names = {
        ID_OF_KEY: task_id_of_key(key.decode()).encode(),
        ID_A: b"a-%d" % number,
        ID_B: b"b-%d" % number,
        KEY: key,
    }
    for placeholder, name in names.items():
        message = Message(*(part.replace(placeholder, name) for part in message))
    return message


def ask(raw: RawNats, subject: bytes, payload: bytes = b"") -> Answer:
    number = raw.publish(Message(subject, b"", payload))
    answer = raw.answer(number)
    assert answer, f"no answer to {subject!r}"
    return answer


def wait_stored(raw: RawNats, key: str, *, timeout_s: float) -> dict[str, object]:
    """Return the entry of the results bucket once it is there."""
    deadline = time.monotonic() + timeout_s
    subject = f"$JS.API.DIRECT.GET.{subjects.RESULTS_BUCKET_STREAM}.{subjects.entry(key)}".encode()
    while time.monotonic() < deadline:
        answer = ask(raw, subject)
        if answer.payload:
            return json.loads(answer.payload)
        time.sleep(0.005)
    raise AssertionError(f"no result of {key} within {timeout_s:g} s")


def is_stored_task(answer: Answer | None) -> bool:
    """Whether the broker says that a message is a new one in the queue."""
    if answer is None or not answer.payload:
        return False
    said = json.loads(answer.payload)
    return said.get("stream") == subjects.TASKS_STREAM and not (
        said.get("error") or said.get("duplicate")
    )


def check_answer(message: Message, answer: Answer | None) -> None:
    if message.subject in API:
        assert answer, "the API does not answer"
        assert b"Nats-Service-Error-Code: 5" not in answer.headers, answer


def publish(raw: RawNats, messages: list[Message]) -> list[str]:
    """Publish messages and return the keys of the results that have to come of them."""
    numbers = [(message, raw.publish(message)) for message in messages]
    if not raw.settle():
        event("cut")
        return []
    keys = []
    for message, number in numbers:
        patience_s = GOOD_S if message.subject in API else UNANSWERED_S
        answer = raw.answer(number, within_s=patience_s if expects_answer(message) else 0)
        check_answer(message, answer)
        if message.subject.startswith(QUEUED) and is_stored_task(answer):
            name = subjects.task_id_of(message.subject.decode("utf-8", "replace"))
            keys.append(subjects.token(name))
    return keys


def expects_answer(message: Message) -> bool:
    return message.subject.startswith((b"qjet.api.", *QUEUED))


def wait_started(raw: RawNats, task_id: str) -> None:
    """Wait until a task is not pending any more."""
    deadline = time.monotonic() + FINAL_S
    while time.monotonic() < deadline:
        task = json.loads(ask(raw, b"qjet.api.get", task_id.encode()).payload)
        if task["status"] != "pending":
            return
    raise AssertionError(f"{task_id} does not start")


def check_readable(services: Services, task_id: str) -> None:
    """Fail if the gateway has no answer to questions about a task."""
    for line in ("GET /tasks/{}", "POST /tasks/{}/cancel", "DELETE /tasks/{}"):
        data = f"{line.format(task_id)} HTTP/1.0\r\n\r\n".encode()
        answer = exchange(services.gateway, HttpRequest(line.partition(" ")[0], data))
        assert answer.status < 500 or answer.status == 503, (line, answer)


@FUZZ
@given(st.lists(nats_messages(), min_size=1, max_size=6))
def test_no_message_stops_anybody(services, raw, watch, messages):
    """Each task that was accepted gets its result, the API answers, and a good task is quick."""
    number = next(NUMBERS)
    with watch.over():
        keys = publish(raw, [with_new_names(message, number) for message in messages])
        good = f"good-{number}"
        ask(raw, f"qjet.submit.{good}".encode(), BELL.encode())
        assert wait_stored(raw, good, timeout_s=GOOD_S)["status"] == "completed"
        for key in keys:
            event(f"task: {wait_stored(raw, key, timeout_s=FINAL_S)['status']}")
        for task_id in (f"a-{number}", f"b-{number}", task_id_of_key(f"key-{number}")):
            check_readable(services, task_id)


@settings(FUZZ, max_examples=EXAMPLES // 20 + 1)
@given(st.lists(nats_messages(SUBJECTS_OF_A_TASK), min_size=1, max_size=6))
def test_whatever_is_said_of_a_running_task_it_ends(services, raw, watch, messages):
    """Made-up events, results, notes and cancels: it gets a result, and so does what came after."""
    number = next(NUMBERS)
    task_id = f"a-{number}"
    with watch.over():
        ask(raw, f"qjet.submit.{task_id}".encode(), SLOW)
        wait_started(raw, task_id)
        keys = publish(raw, [with_new_names(message, number) for message in messages])
        for key in [task_id, *keys]:
            event(f"task: {wait_stored(raw, key, timeout_s=FINAL_S)['status']}")
