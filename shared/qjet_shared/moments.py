"""When JetStream stored a message, the same to the microsecond however the message was reached."""

from datetime import UTC, datetime, timedelta
from typing import Final

from nats.aio.msg import Msg

from qjet_shared import subjects

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHORT_REPLY: Final = 9
"""How many tokens a pulled message's reply subject has where the broker names no domain in it."""


def stored_at(msg: Msg) -> datetime | None:
    """Return when JetStream stored a message that was read directly, or None where it was not."""
    try:
        return datetime.fromisoformat((msg.headers or {}).get(subjects.TIME_STAMP, ""))
    except ValueError:
        return None


def queued_at(msg: Msg) -> datetime:
    """Return when JetStream stored a message that a consumer delivered.

    nats-py's own `metadata.timestamp` goes through a float and is off by a microsecond at times.

    Source: NATS ADR-15 (the tokens of an acknowledgement's subject),
    https://github.com/nats-io/nats-architecture-and-design
    """
    tokens = msg.reply.split(".")
    nanoseconds = int(tokens[7 if len(tokens) == _SHORT_REPLY else 9])
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
