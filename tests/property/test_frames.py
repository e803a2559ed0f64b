"""The executor and its sandboxes understand each other, whatever they say."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qjet_executor.protocol import HEADER, Job, Outcome, Phases, Ready, frame
from qjet_shared.messages.submission import LARGEST_SEED, Method
from qjet_shared.messages.task import ErrorCode, TaskError

pytestmark = pytest.mark.property

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SECONDS = st.floats(0, 1e6)
JOBS = st.builds(
    Job,
    qc=TEXT,
    shots=st.integers(1, 2**63 - 1),
    seed=st.none() | st.integers(0, LARGEST_SEED),
    method=st.sampled_from(get_args(Method)),
    memory=st.booleans(),
)
ERRORS = st.builds(
    TaskError,
    code=st.sampled_from(get_args(ErrorCode)),
    message=TEXT,
    line=st.none() | st.integers(1, 10**6),
    column=st.none() | st.integers(1, 10**6),
    hint=st.none() | TEXT,
)
OUTCOMES = st.builds(
    Outcome,
    error=st.none() | ERRORS,
    counts=st.binary(),
    memory=st.binary(),
    method=TEXT,
    phases=st.builds(Phases, parse=SECONDS, transpile=SECONDS, simulate=SECONDS, count=SECONDS),
)
MESSAGES = JOBS | OUTCOMES | st.builds(Ready, trouble=TEXT)


def read(data):
    """Read one frame; return its body and what follows it."""
    (size,) = HEADER.unpack(data[: HEADER.size])
    end = HEADER.size + size
    return data[HEADER.size : end], data[end:]


@given(MESSAGES)
def test_a_message_reads_back_from_its_frame(message):
    """Length, then exactly that many bytes."""
    body, rest = read(frame(message))
    assert rest == b""
    assert msgspec.msgpack.decode(body, type=type(message)) == message


@given(st.lists(MESSAGES, max_size=5))
def test_frames_one_after_another_stay_apart(messages):
    """A stream of frames has no other separator."""
    stream = b"".join(map(frame, messages))
    found = []
    for message in messages:
        body, stream = read(stream)
        found.append(msgspec.msgpack.decode(body, type=type(message)))
    assert found == messages
    assert stream == b""
