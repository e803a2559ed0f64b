"""Strategies for NATS messages: any subject of qjet's, with headers and payload of any bytes."""

from typing import Any, Final

from hypothesis import strategies as st

from tests.fuzz.submissions import spoilt_objects, submissions
from tests.support.circuits import BELL
from tests.support.raw_nats import Message

ID_A: Final = b"ID-A"
ID_B: Final = b"ID-B"
ID_OF_KEY: Final = b"ID-OF-KEY"
KEY: Final = b"THE-KEY"
"""Stand in subjects, headers and payloads for names that no other example uses."""


_WHOLE_TOKENS: Final = (b"*", b">", b"", b".", b"_INBOX", b"$JS", b"running", b"default", b"large")
# No DEL (0x7f): the broker acknowledges such a subject and, mostly, never delivers it.
_ODD_TOKENS: Final = (
    *(
        b"*",
        b">",
        b".",
        b"..",
        b"a.b",
        b"=",
        b"==",
        b"a=2Eb",
        b"$JS.",
        b"a*b",
        b"{}",
        b"'\"",
        b"\\",
    ),
    *(
        b"\xff\xfe",
        b"\xc3\xa9",
        b"\x00",
        b"\x01",
        b"\xf0\x9f\x99\x82",
        b"\xe2\x80\xae",
        b"\xed\xa0\x80",
    ),
    *(b"a" * 129, b"b" * 1000, b"%00", b"-", b"a.b.c."),
)
SUBJECTS: Final = (
    *(b"qjet.submit.%s", b"qjet.submit.%s", b"qjet.tasks.default.%s", b"qjet.tasks.large.%s"),
    *(
        b"qjet.api.submit",
        b"qjet.api.submit",
        b"qjet.api.get",
        b"qjet.api.cancel",
        b"qjet.api.list",
        b"qjet.api.%s",
    ),
    *(
        b"qjet.results.%s",
        b"qjet.history.%s",
        b"qjet.keys.%s",
        b"qjet.keys.%s",
        b"qjet.heartbeats.executor.%s",
    ),
    *(b"qjet.events.%s.running", b"qjet.events.%s.completed", b"qjet.events.%s.cancelled"),
    *(b"qjet.events.%s.deleted", b"qjet.events.%s", b"qjet.final.%s.completed", b"qjet.final.%s"),
    *(
        b"qjet.heartbeats.%s.x",
        b"qjet.%s",
        b"qjet.submit",
        b"qjet.submit.%s.more",
        b"qjet.events.>",
    ),
)
SUBJECTS_OF_A_TASK: Final = (
    *(b"qjet.events.%s.cancelled", b"qjet.events.%s.deleted", b"qjet.events.%s.completed"),
    *(b"qjet.history.%s", b"qjet.results.%s", b"qjet.final.%s.completed", b"qjet.api.cancel"),
    *(b"qjet.submit.%s", b"qjet.tasks.large.%s"),
)
_STATUS_LINES: Final = (
    *(b"NATS/1.0", b"NATS/1.0 503", b"NATS/1.0 404 No Messages"),
    *(b"NATS/1.0 100 Idle Heartbeat", b"NATS/1.0 408 \xff", b"NATS/1.0 \x00", b"NATS/1.0 409 "),
)
_OUR_NAMES: Final = (b"Qjet-Digest", b"Qjet-Created-At", b"Idempotency-Key")
_OTHER_NAMES: Final = (
    *(
        b"KV-Operation",
        b"Nats-Marker-Reason",
        b"Nats-Sequence",
        b"Nats-Time-Stamp",
        b"Nats-Subject",
    ),
    *(
        b"Nats-Msg-Id",
        b"Nats-Expected-Last-Subject-Sequence",
        b"Nats-Rollup",
        b"Nats-TTL",
        b"Status",
    ),
    *(
        b"Nats-Pending-Messages",
        b"Description",
        b"Nats-Stream",
        b"Nats-Expected-Stream",
        b"Nats-Num",
    ),
    *(b"Nats-Service-Error-Code", b"Nats-Schedule", b"Nats-Batch-Id", b"", b" ", b"\xff", b"a b"),
)
_VALUES: Final = (
    *(
        b"",
        b" ",
        b"0",
        b"-1",
        b"1",
        b"99999999999999999999",
        b"DEL",
        b"PURGE",
        b"MaxAge",
        b"all",
        b"sub",
    ),
    *(
        b"1s",
        b"never",
        b"404",
        b"503",
        b"2024-01-01T00:00:00Z",
        b"2024-01-01",
        b"2024-01-01T00:00:00",
    ),
    *(
        b"0001-01-01T00:00:00+14:00",
        b"9999-12-31T23:59:59.999999-14:00",
        b"2099-01-01T00:00:00+00:00",
    ),
    *(
        b"2024-W01-1T00:00:00+00:00:01.5",
        b"not a time",
        b"\xff\xfe",
        b"\xc3\xa9",
        b"\x00",
        b"a\x01b",
    ),
    *(
        b"d" * 64,
        b"d" * 5000,
        b"a\rb",
        b"a\r\n folded",
        b"=?utf-8?q?=C3=A9?=",
        b": :",
        KEY,
        b"QJET_TASKS",
    ),
)


@st.composite
def _headers(draw: st.DrawFn) -> bytes:
    """Draw a header block."""
    lines = [draw(st.just(b"NATS/1.0") | st.sampled_from(_STATUS_LINES))]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(_OUR_NAMES) | st.sampled_from(_OTHER_NAMES))
        lines.append(name + b": " + draw(st.sampled_from(_VALUES)))
    end = draw(st.sampled_from([b"\r\n\r\n"] * 20 + [b"", b"\r\n", b"\n\n"]))
    return b"\r\n".join(lines) + end


_MOMENTS: Final = st.sampled_from(
    [
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "2999-01-01T00:00:00Z",
    ]
)
_ID_TEXTS: Final = st.sampled_from(["ID-A", "ID-A", "ID-B", "", "*", ">", "a.b", "é", "x" * 500])


def _task(draw: st.DrawFn) -> dict[str, Any]:
    status = draw(st.sampled_from(["completed", "error", "cancelled", "running", "pending"]))
    task = {"task_id": draw(_ID_TEXTS), "status": status, "message": "m"}
    task["finished_at"] = draw(_MOMENTS)
    extra = {
        "result": {"0": 1},
        "error": {"code": "time_limit", "message": "m"},
        "blob": {"name": draw(_ID_TEXTS), "size_bytes": 1},
        "created_at": draw(_MOMENTS),
        "attempts": 3,
        "memory": ["0"],
    }
    return {**task, **_some(draw, extra)}


def _event(draw: st.DrawFn) -> dict[str, Any]:
    status = draw(st.sampled_from(["pending", "running", "completed", "cancelled", "deleted"]))
    event = {"task_id": draw(_ID_TEXTS), "status": status, "at": draw(_MOMENTS)}
    return {**event, **_some(draw, {"executor": "e", "attempt": 2**70, "error": None})}


def _heartbeat(draw: st.DrawFn) -> dict[str, Any]:
    running = {"task_id": draw(_ID_TEXTS), "started_at": draw(_MOMENTS), "attempt": 1}
    service = draw(st.sampled_from(["executor", "gateway", "x"]))
    heartbeat = {"service": service, "instance": draw(_ID_TEXTS), "version": "0", "is_ready": True}
    return {**heartbeat, **_some(draw, {"running": [running] * 3})}


def _claim(draw: st.DrawFn) -> dict[str, Any]:
    return {"digest": "d" * 64, "at": draw(_MOMENTS)}


def _attempt(draw: st.DrawFn) -> dict[str, Any]:
    ended = draw(st.sampled_from(["crashed", "killed", "handed_back", "not_started"]))
    return {"delivery": 1, "ended": ended, "at": draw(_MOMENTS), "executor": "e"}


def _some(draw: st.DrawFn, members: dict[str, Any]) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(sorted(members)), unique=True, max_size=3))
    return {name: members[name] for name in chosen}


@st.composite
def _payloads(draw: st.DrawFn, subject: bytes) -> bytes:
    """Draw a payload that is nearly what the subject carries, or anything."""
    makers = {b"results": _task, b"events": _event, b"final": _event, b"heartbeats": _heartbeat}
    makers |= {b"keys": _claim, b"history": _attempt}
    kind = subject.split(b".")[1] if b"." in subject else b""
    if kind == b"api" and not subject.endswith(b"submit"):
        return draw(
            st.sampled_from(
                [ID_A, ID_B, ID_OF_KEY, *_ODD_TOKENS, *_WHOLE_TOKENS, b"\r\n", b"a" * 5000]
            )
        )
    if kind not in makers:
        return draw(st.just(BELL.encode()) | submissions() | st.binary(max_size=20))
    payload = draw(spoilt_objects(makers[kind](draw)))
    return b"[" + payload + b"]" if kind == b"history" and draw(st.booleans()) else payload


@st.composite
def nats_messages(draw: st.DrawFn, patterns: tuple[bytes, ...] = SUBJECTS) -> Message:
    """Draw a message on one of the subjects."""
    pattern = draw(st.sampled_from(patterns))
    names = st.sampled_from([ID_A, ID_A, ID_A, ID_B, ID_OF_KEY])
    if pattern.startswith(b"qjet.keys"):
        names = st.just(ID_OF_KEY)
    odd = st.sampled_from(_ODD_TOKENS).map(lambda token: token + ID_A)
    token = draw(draw(st.sampled_from([names] * 5 + [odd, st.sampled_from(_WHOLE_TOKENS)])))
    if pattern.startswith(b"qjet.tasks.") and token == b">":
        token = b"*"  # as with DEL; the doors for users are others
    payload = draw(_payloads(pattern))
    usual = (
        b"NATS/1.0\r\nIdempotency-Key: " + KEY + b"\r\n\r\n"
        if pattern == b"qjet.api.submit"
        else b""
    )
    headers = draw(st.just(usual) | _headers())
    return Message(pattern.replace(b"%s", token), headers, payload)
