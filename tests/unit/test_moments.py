"""When a message was stored, to the microsecond, whichever way it was reached."""

from datetime import UTC, datetime

import nats.aio.client
import pytest
from nats.aio.msg import Msg

from qjet_shared.moments import queued_at, stored_at

pytestmark = pytest.mark.unit

NANOSECONDS = 1_795_386_747_931_363_999
MOMENT = datetime(2026, 11, 22, 22, 32, 27, 931363, tzinfo=UTC)


@pytest.mark.parametrize(
    "reply",
    [
        f"$JS.ACK.QJET_TASKS.executors.1.7.7.{NANOSECONDS}.0",
        f"$JS.ACK._.hash.QJET_TASKS.executors.1.7.7.{NANOSECONDS}.0",
        f"$JS.ACK.hub.hash.QJET_TASKS.executors.1.7.7.{NANOSECONDS}.0.token",
    ],
    ids=["short", "long", "with a token"],
)
def test_a_delivered_message_and_a_read_one_tell_the_same_moment(reply):
    """A float would round these nanoseconds up."""
    client = nats.aio.client.Client()
    read = Msg(client, headers={"Nats-Time-Stamp": "2026-11-22T22:32:27.931363999Z"})
    assert queued_at(Msg(client, reply=reply)) == stored_at(read) == MOMENT


@pytest.mark.parametrize("headers", [None, {}, {"Nats-Time-Stamp": "yesterday"}])
def test_a_message_that_no_stream_answered_has_no_moment(headers):
    """Such as an error's answer."""
    assert stored_at(Msg(nats.aio.client.Client(), headers=headers)) is None
