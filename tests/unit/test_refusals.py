"""What JetStream's refusals mean: which of them a later try may turn into success."""

import pytest

from qjet_shared.errors import (
    AlreadyThereError,
    BrokerUnavailableError,
    PermanentError,
    QueueFullError,
    refusal,
)


@pytest.mark.parametrize(
    ("code", "err_code", "meaning"),
    [
        (400, 10071, AlreadyThereError),  # wrong last sequence: 7
        (400, 10164, BrokerUnavailableError),  # wrong last sequence: one is on its way
        (400, 10201, AlreadyThereError),  # atomic batch contains duplicate message id
        (400, 10176, BrokerUnavailableError),  # atomic batch is incomplete
        (429, 10210, BrokerUnavailableError),  # too many atomic batches in flight
        (409, 10158, BrokerUnavailableError),  # duplicate message id is in process
        (400, 10005, BrokerUnavailableError),  # no suitable peers for placement
        (400, 10202, BrokerUnavailableError),  # cluster member change is in progress
        (503, 10008, BrokerUnavailableError),  # system temporarily unavailable
        (503, 10077, QueueFullError),  # maximum messages exceeded
        (400, 10054, PermanentError),  # message size exceeds maximum allowed
    ],
)
def test_a_refusal_says_whether_to_try_again(
    code: int, err_code: int, meaning: type[Exception]
) -> None:
    """Only what is surely stored counts as there, and only what cannot get better is permanent."""
    assert type(refusal("subject", code, err_code, "reason")) is meaning
