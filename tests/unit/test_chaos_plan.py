"""The plan of `make chaos`: from its seed alone, and with something of everything."""

from collections import Counter

import pytest

from tests.chaos.circuits import WEIGHTS
from tests.chaos.plan import DOORS, FAULTS, make_plan


def test_a_seed_repeats_its_plan():
    """The same seed and number give the same tasks and faults, another seed gives others."""
    assert make_plan(7, 300, ack_wait_s=3) == make_plan(7, 300, ack_wait_s=3)
    assert make_plan(7, 300, ack_wait_s=3) != make_plan(8, 300, ack_wait_s=3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_short_run_has_something_of_everything(seed):
    """Two hundred tasks are enough for each fault, kind and door, for cancelling and reading."""
    plan = make_plan(seed, 200, ack_wait_s=3)
    assert {(fault.action, fault.victim) for fault in plan.faults} == FAULTS.keys()
    assert {sending.kind for sending in plan.sendings} == WEIGHTS.keys()
    assert {sending.door for sending in plan.sendings} == DOORS.keys()
    for field in ("again_after_s", "cancel_after_s", "read_after_s"):
        assert any(getattr(sending, field) is not None for sending in plan.sendings)


def test_a_process_is_stopped_for_longer_than_the_ack_wait():
    """So that its tasks go to another while it still believes to have them."""
    plan = make_plan(1, 200, ack_wait_s=3)
    assert all(fault.lasts_s > 3 for fault in plan.faults)


def test_the_weights_are_parts_of_a_hundred():
    """So that they read as percentages."""
    assert sum(WEIGHTS.values()) == 100
    counted = Counter(sending.kind for sending in make_plan(1, 1000, ack_wait_s=3).sendings)
    assert counted == {kind: 10 * weight for kind, weight in WEIGHTS.items()}
