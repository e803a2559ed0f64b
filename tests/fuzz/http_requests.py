"""Strategies for HTTP requests, as bytes."""

from typing import Final

from hypothesis import strategies as st

from tests.fuzz.submissions import SPLINTERS, submissions
from tests.support.raw_http import HttpRequest

_KEYS: Final = (
    *("k1", "k2", "", " ", "a" * 255, "a" * 256, "é", "a b", "a,b", '"quoted"', "\t", "\xa0"),
    *("../../x", "*", ">", "a.b", "\\u0000", "%00", "\xff", "a" * 6000),
)


_IDS: Final = (
    *("good", "unknown", "k1", "a" * 128, "a" * 129, "a" * 3000, "%00", "%2e%2e", "..%2f", "%ff"),
    *("%F0%9F%99%82", "%ed%a0%80", "*", "%3E", "a.b", ".a", "a.", "%20", "=", "==", "%0d%0a", "-"),
    *(
        "%7Bid%7D",
        "{id}",
        "a%2Fb",
        "%25",
        "%",
        "%zz",
        "%C3%A9",
        "$KV",
        "good%00",
        "GOOD",
        "%09",
        "good.",
    ),
)
_PATHS: Final = (
    *("/tasks", "/tasks/", "/tasks/{}", "/tasks/{}", "/tasks/{}/cancel", "/tasks/{}/events"),
    *("/batches", "/batches/{}", "/health", "/health/live", "/health/ready", "/metrics"),
    *("/openapi.json", "/docs", "/docs/{}", "/docs/../{}", "/", "//", "/{}", "/tasks//{}"),
)
_QUERIES: Final = (
    *(
        "",
        "",
        "?wait=0",
        "?wait=0.2",
        "?wait=-1",
        "?wait=nan",
        "?wait=inf",
        "?wait=1e999",
        "?wait=",
    ),
    *(
        "?wait=%00",
        "?wait=1&wait=x",
        "?wait[]=1",
        "?limit=0",
        "?limit=-1",
        "?limit=1e9",
        "?limit=x",
    ),
    *(
        "?limit=99999999999999999999",
        "?cursor=x",
        "?cursor=%ff",
        "?cursor=",
        "?cursor=" + "A" * 3000,
    ),
    *(
        "?status=completed",
        "?status=x",
        "?status=",
        "?tag=",
        "?tag=%00",
        "?tag=a&tag=b",
        "?&&=&",
        "??",
    ),
    *("?status=pending&tag=%C3%A9&limit=5", "?" + "a=1&" * 500, "?%", "#x", "?wait=%D9%A1"),
)
_METHODS: Final = ("GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH", "TRACE")
_USUAL: Final = (b"Host: qjet", b"Content-Type: application/json")
_HEADERS: Final = (
    *(b"Accept: application/json", b"Accept: */*;q=x", b"Accept: text/event-stream"),
    *(
        b"Content-Type: text/plain",
        b"Content-Type: application/json; charset=utf-16",
        b"Content-Type:",
    ),
    *(b"Content-Type: ;;;", b"Content-Encoding: gzip", b"Expect: 100-continue"),
    *(
        b"Last-Event-ID: x",
        b"Last-Event-ID: 99999999999999999999",
        b"Range: bytes=0-1",
        b"Cookie: a=b;;=",
    ),
    *(b"If-None-Match: *", b"Accept-Encoding: gzip", b"Upgrade: websocket", b"X: " + b"y" * 6000),
    *(
        b"X-Forwarded-For: \xff\xfe",
        b"Authorization: Basic !!!",
        b"Host: evil",
        b"Traceparent: 00-x",
    ),
)
_BREAKS: Final = (
    *(
        b"Transfer-Encoding: chunked",
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999",
    ),
    *(
        b"Content-Length: x",
        b"Content-Length: 5",
        b": no name",
        b"no colon",
        b"A\x00B: c",
        b"X: a\rb",
    ),
    *(
        b" folded: yes",
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Length: 1\r\nContent-Length: 2",
    ),
    *(
        b"X: " + b"y" * 20_000,
        b"Sec-WebSocket-Key: x",
        b"Transfer-Encoding: identity",
        b"Content-Encoding: br",
    ),
)


@st.composite
def odd_requests(draw: st.DrawFn) -> HttpRequest:
    """Draw a request that is HTTP/1.1, whatever it asks for."""
    return _request(*draw(_parts()))


@st.composite
def broken_requests(draw: st.DrawFn) -> HttpRequest:
    """Draw a request with its framing broken, as a poor proxy, client or attacker would send it."""
    line, headers, body = draw(_parts())
    at = draw(st.integers(0, len(headers)))
    headers = [*headers[:at], draw(st.sampled_from(_BREAKS)), *headers[at:]]
    splinter = draw(st.sampled_from([*SPLINTERS, b" ", b"GET", b"HTTP/9.9", b"\n\n"]))
    place = draw(st.integers(0, len(line)))
    lines = [line, line, line, line[:place] + splinter + line[place:], line[:place]]
    return _request(draw(st.sampled_from(lines)), headers, body)


def _request(line: bytes, headers: list[bytes], body: bytes) -> HttpRequest:
    method = line.partition(b" ")[0].decode("latin-1")
    return HttpRequest(method, b"\r\n".join([line, *headers, b"", body]))


@st.composite
def _parts(draw: st.DrawFn) -> tuple[bytes, list[bytes], bytes]:
    """Draw a request line, headers and a body that belong together."""
    submitting = st.just(("POST", "/tasks"))
    anything = st.tuples(st.sampled_from(_METHODS), st.sampled_from(_PATHS))
    reading = st.tuples(st.just("GET"), st.sampled_from(_PATHS))
    method, path = draw(draw(st.sampled_from([submitting] * 3 + [reading, anything])))
    target = path.replace("{}", draw(st.sampled_from(_IDS))) + draw(st.sampled_from(_QUERIES))
    body = draw(submissions() | st.just(b"")) if method in {"POST", "PUT", "PATCH"} else b""
    drawn = draw(st.just([]) | st.lists(st.sampled_from(_HEADERS), max_size=2))
    headers = [*{header.partition(b":")[0]: header for header in [*_USUAL, *drawn]}.values()]
    if draw(st.sampled_from([False, False, True])):
        headers.append(b"Idempotency-Key: " + draw(st.sampled_from(_KEYS)).encode("latin-1"))
    headers += [b"Content-Length: %d" % len(body), b"Connection: close"]
    return b"%s %s HTTP/1.1" % (method.encode(), target.encode()), headers, body
