"""Names that processes make, and the lines they log."""

import json
import logging
import re
import sys
import time
from uuid import RFC_4122, UUID

import pytest

from qjet_shared.ids import instance_name, new_task_id
from qjet_shared.logs import JsonFormatter
from qjet_shared.subjects import is_task_id

pytestmark = pytest.mark.unit


def test_a_new_task_id_is_a_version_7_uuid():
    """Version and variant bits stand where RFC 9562 wants them."""
    for _ in range(200):
        uuid = UUID(new_task_id())
        assert uuid.version == 7
        assert uuid.variant == RFC_4122


def test_a_new_task_id_carries_the_time_of_its_making():
    """The first 48 bits are milliseconds since 1970."""
    before = time.time_ns() // 1_000_000
    made = UUID(new_task_id()).int >> 80
    after = time.time_ns() // 1_000_000
    assert before <= made <= after


def test_ids_made_later_sort_later():
    """To the millisecond, as text."""
    ids = []
    for _ in range(5):
        ids.append(new_task_id())
        start = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == start:
            pass
    assert ids == sorted(ids)


def test_new_ids_are_legal_and_never_the_same():
    """Fifty thousand in a row differ, and each may name a task."""
    ids = {new_task_id() for _ in range(50_000)}
    assert len(ids) == 50_000
    assert all(map(is_task_id, ids))


def test_an_instance_name_is_one_subject_token():
    """It stands in the subject of heartbeats, and no two are the same."""
    first, second = instance_name(), instance_name()
    assert re.fullmatch(r"[^\s.*>]+", first)
    assert first != second


def line(message="task.started", *, exc_info=None, **extra):
    record = logging.LogRecord("qjet.test", logging.INFO, __file__, 1, message, (), exc_info)
    vars(record).update(extra)
    return JsonFormatter("executor", "host-1").format(record)


def test_a_record_is_one_json_line_with_its_origin_and_extras():
    """Event, level, logger, service, instance, and what stood in `extra`."""
    read = json.loads(line(task_id="t", attempt=2, duration_s=0.5))
    assert read.pop("at").endswith("+00:00")
    assert read == {
        "level": "INFO",
        "event": "task.started",
        "logger": "qjet.test",
        "service": "executor",
        "instance": "host-1",
        "task_id": "t",
        "attempt": 2,
        "duration_s": 0.5,
    }


@pytest.mark.parametrize("text", ["two\nlines", "\r\n", 'quote" and \\', "é中😀", "\x00\x1b[31m"])
def test_whatever_a_value_holds_the_line_stays_one_line(text):
    """Newlines and control characters are escaped."""
    written = line(text, detail=text)
    assert len(written.splitlines()) == 1
    assert json.loads(written)["detail"] == text


def test_values_that_json_does_not_know_are_shown_as_text():
    """An exception or a path in `extra` does not break logging."""
    assert json.loads(line(error=ValueError("x"), where={1}))["where"] == "{1}"


def test_an_exceptions_traceback_is_in_the_line():
    """Operators see it; it stays one line."""
    try:
        int("boom")
    except ValueError:
        written = line("http.failed", exc_info=sys.exc_info())
    assert "ValueError: invalid literal" in json.loads(written)["exception"]
    assert "\n" not in written


def test_text_that_is_no_unicode_can_still_be_written():
    """A path with surrogate escapes (aiohttp makes them of `%FF`) does not lose the line."""
    assert line(path="/tasks/\udcff").encode()


def test_a_number_that_is_no_number_leaves_the_line_valid_json():
    """NaN is no JSON; a reader of logs must not stumble over it."""

    def refuse(constant):
        raise AssertionError(constant)

    json.loads(line(share=float("nan")), parse_constant=refuse)
