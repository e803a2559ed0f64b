"""One task per idempotency key: which task a key stands for, and what it was used for.

The id comes from the key alone, so that every gateway knows it without asking anybody, and the
digest of what was asked for goes with the task to its end as a header. A claim, stored only if
there is none, decides between two different submissions that arrive under one key at once.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from qjet_gateway.errors import ConflictError
from qjet_shared import subjects
from qjet_shared.broker import EXPECT_EMPTY, Broker
from qjet_shared.clock import utc_now
from qjet_shared.errors import AlreadyThereError, FieldError
from qjet_shared.messages import UNREADABLE
from qjet_shared.messages.notices import Claim
from qjet_shared.messages.submission import Submission

HEADER: Final = "Idempotency-Key"
_LONGEST_KEY: Final = 255
_STALE_S: Final = 60.0
"""A claim this old without a task belongs to nobody: its task expired, or was never stored."""


class KeyReusedError(ConflictError):
    """The key was used for something else."""

    def __init__(self) -> None:
        super().__init__(f"This {HEADER} was used for another submission; take a new one.")


def checked_key(key: str) -> str:
    """Return the key if it may be one.

    Raises:
        FieldError: empty, too long, or with characters that are not printable ASCII.
    """
    if not 0 < len(key) <= _LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise FieldError([(HEADER, f"1 to {_LONGEST_KEY} printable ASCII characters")])
    return key


def task_id_of_key(key: str) -> str:
    """Return the one task id that stands for a key: a UUID of version 8 made from its digest."""
    return _uuid_of(b"qjet idempotency key\0" + key.encode())


def batch_uuid_of_key(key: str) -> str:
    """Return the same for a batch: what a key stands for is a task or a batch, each by itself."""
    return _uuid_of(b"qjet idempotency key of a batch\0" + key.encode())


def _uuid_of(content: bytes) -> str:
    digest = bytearray(sha256(content).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))


def digest_of(submission: Submission) -> str:
    """Return a digest that is equal for submissions that ask for the same, however written."""
    return _digest(msgspec.structs.asdict(submission))


def digest_of_all(submissions: Iterable[Submission]) -> str:
    """Return the same for a batch, in which the order counts."""
    return _digest([msgspec.structs.asdict(submission) for submission in submissions])


def _digest(fields: object) -> str:
    return sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()


async def claim(broker: Broker, task_id: str, digest: str) -> None:
    """Claim a key that has no task for what is asked for.

    Raises:
        KeyReusedError: somebody is submitting something else under it right now.
        BrokerUnavailableError: nothing is known.
    """
    subject = subjects.key_claim(task_id)
    payload = msgspec.json.encode(Claim(digest=digest, at=utc_now()))
    try:
        await broker.publish(subject, payload, EXPECT_EMPTY)
    except AlreadyThereError:
        await _take_over(broker, subject, payload, digest)


async def _take_over(broker: Broker, subject: str, payload: bytes, digest: str) -> None:
    """Take a claim that says the same, or that has been left."""
    found = await broker.last(subjects.EVENTS_STREAM, subject)
    if found is None:  # deleted at this moment, together with its task
        raise KeyReusedError
    standing = _read_claim(found.data)
    if standing and standing.digest == digest:
        return
    if standing and abs((utc_now() - standing.at).total_seconds()) < _STALE_S:
        raise KeyReusedError
    sequence = (found.headers or {})[subjects.SEQUENCE]
    try:
        await broker.publish(subject, payload, {subjects.EXPECTED_LAST: sequence})
    except AlreadyThereError as exc:
        raise KeyReusedError from exc


def _read_claim(data: bytes) -> Claim | None:
    """Read a claim; what somebody else put there claims nothing."""
    try:
        return msgspec.json.decode(data, type=Claim)
    except UNREADABLE:
        return None
