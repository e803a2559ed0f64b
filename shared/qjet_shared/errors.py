"""The errors qjet raises itself, and where NATS's errors become ours.

A `QjetError` carries a code from the public contract. `PermanentError` will not get better by
trying again; `TransientError` may.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import nats.errors
import nats.js.errors

_WRONG_LAST_SEQUENCE: Final = 10071
"""JetStream's error code for an expected last sequence that is not the last one.

Source: nats-server `server/errors.json`, JSStreamWrongLastSequenceErrF.
"""

_DUPLICATE_IN_BATCH: Final = 10201
"""A message of an atomic batch was stored before: same source, also the next one."""

_BATCH_ABANDONED: Final = frozenset({10176, 10210})
"""An atomic batch was interrupted, by an election say, or too many are on their way."""

_IN_PROCESS: Final = frozenset({10158, 10164})
"""A message with this id, or on this subject, is on its way through the cluster, and may be lost.

Only a cluster says so, before a message is copied: whether that one was stored, a later try
tells. Same source, JSStreamDuplicateMessageConflict and JSStreamWrongLastSequenceConstantErr;
where they are raised: `server/jetstream_batching.go`.
"""

_CLUSTER_BUSY: Final = frozenset({10005, 10202})
"""Not enough nodes now, or they are just changing: same source."""

_STREAM_FULL: Final = frozenset({10047, 10077, 10122})
"""Storage exceeded, maximum messages, maximum bytes: same source."""

_SERVERS_FAULT: Final = 500


class QjetError(Exception):
    """Base of every error that qjet raises on purpose."""

    def __init__(self, code: str, message: str) -> None:
        """Take a `code` of the contract and a sentence for people."""
        super().__init__(message)
        self.code = code
        self.message = message


class PermanentError(QjetError):
    """Trying again cannot help."""


class TransientError(QjetError):
    """Trying again later may help."""


class FieldError(PermanentError):
    """One or more fields of an input are wrong; `errors` is a list of (field, message)."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        """Take each wrong field with what is wrong with it."""
        super().__init__("validation", "; ".join(f"{field}: {text}" for field, text in errors))
        self.errors = errors


class InvalidJsonError(PermanentError):
    """A text that should be JSON is not."""

    def __init__(self, message: str) -> None:
        """Take what is wrong and where."""
        super().__init__("invalid_json", message)


class BrokerUnavailableError(TransientError):
    """NATS cannot be reached or does not answer in time."""

    def __init__(self, message: str = "The message broker cannot be reached.") -> None:
        """Take a sentence that says what was tried."""
        super().__init__("broker_unavailable", message)


class QueueFullError(TransientError):
    """The task stream takes no more messages for now."""

    def __init__(self) -> None:
        """Build the one message this error has."""
        super().__init__("queue_full", "The task queue is full; nothing was accepted.")


class AlreadyThereError(QjetError):
    """A message that may exist once per subject exists already."""

    def __init__(self, subject: str) -> None:
        """Take the subject that already has its message."""
        super().__init__("conflict", f"{subject} already has its message.")


_UNREACHABLE = (
    nats.errors.NoRespondersError,
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionDrainingError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.OutboundBufferLimitError,
    nats.errors.StaleConnectionError,
    nats.js.errors.NoStreamResponseError,
    OSError,
)


def refusal(subject: str, code: int, err_code: int, description: str) -> Exception:
    """Return the error for what JetStream said instead of storing a message.

    `code` is of HTTP's kind, `err_code` JetStream's own.
    """
    if err_code in _STREAM_FULL:
        return QueueFullError()
    if err_code in {_WRONG_LAST_SEQUENCE, _DUPLICATE_IN_BATCH}:
        return AlreadyThereError(subject)
    if code >= _SERVERS_FAULT or err_code in _IN_PROCESS | _CLUSTER_BUSY | _BATCH_ABANDONED:
        return BrokerUnavailableError(f"JetStream refused: {description}.")
    return PermanentError("internal", f"JetStream refused: {description}.")


@contextmanager
def translated(subject: str) -> Iterator[None]:
    """Turn what nats-py raises while speaking of `subject` into qjet's errors.

    What JetStream says is missing stays nats-py's `NotFoundError`.

    Raises:
        QueueFullError: the stream refused the message because it is full.
        AlreadyThereError: the subject was expected to be empty and is not.
        BrokerUnavailableError: no answer in time, no connection, no stream.
        PermanentError: JetStream does not take this message.
    """
    try:
        yield
    except nats.js.errors.NotFoundError:
        raise
    except nats.js.errors.APIError as exc:
        raise refusal(
            subject, exc.code or 0, exc.err_code or 0, exc.description or "no reason"
        ) from exc
    except TimeoutError as exc:  # nats-py's own is one, too
        raise BrokerUnavailableError("The message broker did not answer in time.") from exc
    except _UNREACHABLE as exc:
        raise BrokerUnavailableError from exc
