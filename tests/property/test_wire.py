"""Messages are cut out of the server's bytes as nats-py cuts them, wherever the bytes are split."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.protocol.parser import Parser

from qjet_shared.client import TolerantClient, message, read_headers

pytestmark = pytest.mark.property

WORDS = st.text("abcXYZ019_-.$", min_size=1, max_size=12)
DATA = st.binary(max_size=40)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
HEADERS = st.dictionaries(st.text("abcXYZ-", min_size=1, max_size=8), VALUES, max_size=3)


def received(subject: str, sid: int, reply: str, headers: dict[str, str], data: bytes) -> bytes:
    """What a server sends for a message: what was published, with the subscription's number."""
    head, _, rest = message(subject, data, reply, headers or None).partition(b"\r\n")
    operation, _, *words = head.split()
    sizes = words[-2:] if headers else words[-1:]
    kind = b"HMSG" if operation == b"HPUB" else b"MSG"
    named = [subject.encode(), str(sid).encode(), *([reply.encode()] if reply else [])]
    return b" ".join([kind, *named, *sizes]) + b"\r\n" + rest


MESSAGES = st.builds(received, WORDS, st.integers(1, 99), st.just("") | WORDS, HEADERS, DATA)
OTHERS = st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'Slow Consumer'\r\n"])
STREAMS = st.lists(MESSAGES | OTHERS, max_size=8).map(b"".join)


class Recorder(TolerantClient):
    """A client that writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    async def _process_msg(self, *parts: Any) -> None:
        self.heard.append(parts)

    async def _process_ping(self) -> None:
        self.heard.append("ping")

    async def _process_pong(self) -> None:
        self.heard.append("pong")

    async def _process_err(self, text: str) -> None:
        self.heard.append(text)


async def _heard(client: Recorder, parts: list[bytes]) -> list[Any]:
    for part in parts:
        await client._ps.parse(part)
    return client.heard


@given(STREAMS, st.lists(st.integers(0, 400), max_size=10))
def test_both_parsers_hear_the_same(stream, cuts):
    """Every message, whole, in order; and whatever stands between them."""
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    parts = [stream[a:b] for a, b in pairwise(places)]
    lean, original = Recorder(), Recorder()
    original._ps = Parser(original)
    assert asyncio.run(_heard(lean, parts)) == asyncio.run(_heard(original, [stream]))


@given(HEADERS)
def test_headers_come_back_as_they_were(headers):
    """But for white space around values, which has no meaning."""
    block = message("subject", b"", headers=headers).split(b"\r\n", 1)[1] if headers else b""
    expected = {name: value.strip() for name, value in headers.items()}
    assert (read_headers(block) or {}) == expected


@pytest.mark.parametrize(
    ("subject", "reply", "headers"),
    [
        ("", "", None),
        ("a b", "", None),
        ("a\r\nPUB b 0", "", None),
        ("a", "b c", None),
        ("a", "", {"Name": "x\r\nOther: y"}),
        ("a", "", {"Na\nme": "x"}),
    ],
)
def test_what_would_be_another_message_is_refused(subject, reply, headers):
    """Nobody can put commands into a subject or a header."""
    with pytest.raises(Exception, match="nats: invalid"):
        message(subject, b"", reply, headers)
