"""Every NATS name qjet uses: subjects, streams, consumers, buckets and headers.

Nothing else in the project spells one of these names.

Source: subject rules, https://docs.nats.io/nats-concepts/subjects
"""

import re
from hashlib import sha256
from typing import Final

TASKS_STREAM: Final = "QJET_TASKS"
RESULTS_STREAM: Final = "QJET_RESULTS"
EVENTS_STREAM: Final = "QJET_EVENTS"
RESULTS_BUCKET: Final = "qjet-results"
RESULTS_BUCKET_STREAM: Final = f"KV_{RESULTS_BUCKET}"
BLOBS_BUCKET: Final = "qjet-blobs"
BLOBS_BUCKET_STREAM: Final = f"OBJ_{BLOBS_BUCKET}"

_STREAM_OF: Final = {
    "qjet.tasks": TASKS_STREAM,
    "qjet.submit": TASKS_STREAM,
    "qjet.results": RESULTS_STREAM,
    "qjet.final": EVENTS_STREAM,
    "qjet.history": EVENTS_STREAM,
    "qjet.keys": EVENTS_STREAM,
    f"$KV.{RESULTS_BUCKET}": RESULTS_BUCKET_STREAM,
}
STREAMS: Final = tuple(sorted(set(_STREAM_OF.values())))
"""The streams that single messages are published to."""

DEFAULT_LANE: Final = "default"
LARGE_LANE: Final = "large"
LANES: Final = (DEFAULT_LANE, LARGE_LANE)

EXECUTORS_CONSUMERS: Final = {DEFAULT_LANE: "executors", LARGE_LANE: "executors-large"}
RESULTSTORE_CONSUMER: Final = "resultstore"
COMPLETED_COUNTER: Final = "count-completed"
FAILED_COUNTER: Final = "count-error"
CANCELLED_COUNTER: Final = "count-cancelled"

SUBMIT_PREFIX: Final = "qjet.submit."
SUBMIT_ALL: Final = "qjet.submit.>"
RESULTS_ALL: Final = "qjet.results.*"
FINAL_ALL: Final = "qjet.final.>"
HISTORY_ALL: Final = "qjet.history.*"
KEYS_ALL: Final = "qjet.keys.*"
EVENTS_REPUBLISHED: Final = "qjet.events.>"
HEARTBEATS_ALL: Final = "qjet.heartbeats.*.*"

API_SUBMIT: Final = "qjet.api.submit"
API_GET: Final = "qjet.api.get"
API_CANCEL: Final = "qjet.api.cancel"

MSG_ID: Final = "Nats-Msg-Id"
SEQUENCE: Final = "Nats-Sequence"
SUBJECT: Final = "Nats-Subject"
TIME_STAMP: Final = "Nats-Time-Stamp"
EXPECTED_LAST: Final = "Nats-Expected-Last-Subject-Sequence"
DIGEST: Final = "Qjet-Digest"
"""Header: what a submission with an idempotency key asked for; goes with the task to its end."""
CREATED_AT: Final = "Qjet-Created-At"
"""Header, RFC 3339: when a task was submitted that has moved to another lane, or was deleted."""

_TASK_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LITERAL: Final = re.compile(r"[^\s.*>\x00-\x1f\x7f]+(\.[^\s.*>\x00-\x1f\x7f]+)*")
_LONGEST_TOKEN: Final = 200
_NOTHING: Final = "="


def is_task_id(text: str) -> bool:
    """Tell whether `text` may name a task: one NATS token, safe in a URL and as a KV key."""
    return _TASK_ID.fullmatch(text) is not None


def is_literal(text: str) -> bool:
    """Tell whether `text` is one subject as it stands: no wildcard, no white space, no gap."""
    return _LITERAL.fullmatch(text) is not None


def token(task_id: str) -> str:
    """Return the one subject token and KV key that stands for `task_id`.

    A legal id is its own token. Anything else that somebody managed to publish under
    `qjet.submit.` still needs a place for its error result, so each byte outside the
    legal alphabet becomes `=XX`, what would grow too long ends in `==` and a digest, and
    nothing at all becomes `=`: no two ids share a token.
    """
    if is_task_id(task_id):
        return task_id
    raw = task_id.encode("utf-8", "surrogatepass")  # a path may hold what no text does
    quoted = re.sub(rb"[^A-Za-z0-9_-]", lambda m: b"=%02X" % m[0][0], raw).decode("ascii")
    if len(quoted) <= _LONGEST_TOKEN:
        return quoted or _NOTHING
    return f"{quoted[:100]}=={sha256(raw).hexdigest()}"


def submit(task_id: str) -> str:
    """Subject of a submission whose id the caller chose."""
    return SUBMIT_PREFIX + task_id


def task(lane: str, task_id: str) -> str:
    """Subject of a submission that a gateway named and put in a lane."""
    return f"qjet.tasks.{lane}.{task_id}"


def tasks(lane: str) -> str:
    """Subject of all tasks in a lane."""
    return f"qjet.tasks.{lane}.*"


def names_of_task(task_id: str) -> tuple[str, ...]:
    """List every subject that a waiting task may have in `QJET_TASKS`."""
    return (*(task(lane, task_id) for lane in LANES), submit(task_id))


def result(task_id: str) -> str:
    """Subject of a task's one result."""
    return result_of(token(task_id))


def result_of(key: str) -> str:
    """Subject of the result whose key in the bucket is `key`."""
    return f"qjet.results.{key}"


def entry(key: str) -> str:
    """Subject under which the results bucket keeps a key. Source: NATS ADR-8."""
    return f"$KV.{RESULTS_BUCKET}.{key}"


def stream_of(subject: str) -> str:
    """Return the stream that takes a subject; its first two tokens tell."""
    return _STREAM_OF[".".join(subject.split(".", 2)[:2])]


def key_of(result_subject: str) -> str:
    """Return the bucket's key for the result in a message of `QJET_RESULTS`."""
    return result_subject.rsplit(".", 1)[-1]


def event(task_id: str, status: str) -> str:
    """Subject that announces that a task reached `status`."""
    return f"qjet.events.{token(task_id)}.{status}"


def task_id_of_event(subject: str) -> str:
    """Return the token of the task that an event is about."""
    return subject.split(".")[2]


def events(status: str) -> str:
    """Subject of all tasks' events of one status."""
    return f"qjet.events.*.{status}"


def final(key: str, status: str) -> str:
    """Subject whose stream keeps a final event once and republishes it as `event(…)`."""
    return f"qjet.final.{key}.{status}"


def history_of(key: str) -> str:
    """Subject whose newest message lists the attempts at a task that came to nothing."""
    return f"qjet.history.{key}"


def key_claim(task_id: str) -> str:
    """Subject of the claim on the idempotency key that `task_id` was made from."""
    return f"qjet.keys.{token(task_id)}"


def heartbeat(service: str, instance: str) -> str:
    """Subject on which one process tells that it lives and what it does."""
    return f"qjet.heartbeats.{service}.{instance}"


def task_id_of(subject: str) -> str:
    """Return the task id in the subject of a message of `QJET_TASKS`."""
    if subject.startswith(SUBMIT_PREFIX):
        return subject.removeprefix(SUBMIT_PREFIX)
    return subject.rsplit(".", 1)[-1]
