"""Settings from the environment, and names and logs that every process makes."""

import os
import sys

import pytest

from qjet_executor.machine import usable_cores, usable_memory_mb
from qjet_executor.settings import ExecutorSettings
from qjet_gateway.settings import GatewaySettings
from qjet_resultstore.settings import ResultstoreSettings
from qjet_shared.settings import CommonSettings, SettingsError, read_settings

pytestmark = pytest.mark.unit

ALL = [CommonSettings, GatewaySettings, ExecutorSettings, ResultstoreSettings]


@pytest.mark.parametrize("kind", ALL)
def test_an_empty_environment_gives_the_defaults(kind):
    """Every setting has a default that works on one machine."""
    assert read_settings(kind, {}) == kind()


@pytest.mark.parametrize("kind", ALL)
def test_other_variables_are_not_looked_at(kind):
    """Only `QJET_*` names of known fields count."""
    assert read_settings(kind, {"NATS_URL": "x", "PORT": "1", "QJET_NO_SUCH": "x"}) == kind()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("nats_url", "nats://a:1,nats://b:2", "nats://a:1,nats://b:2"),
        ("log_level", "DEBUG", "DEBUG"),
        ("listen_fd", "7", 7),
        ("drain_s", "2.5", 2.5),
        ("drain_s", "3", 3.0),
        ("sandboxes", "4", 4),
        ("max_attempts", "3", 3),
        ("metrics_port", "0", 0),
    ],
)
def test_a_variable_is_read_as_its_fields_type(name, text, value):
    """`QJET_` and the field's name in capitals."""
    settings = read_settings(ExecutorSettings, {f"QJET_{name.upper()}": text})
    assert getattr(settings, name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("QJET_METRICS_PORT", "99999"),
        ("QJET_METRICS_PORT", "-1"),
        ("QJET_METRICS_PORT", "http"),
        ("QJET_METRICS_PORT", ""),
        ("QJET_DRAIN_S", "0"),
        ("QJET_DRAIN_S", "-2"),
        ("QJET_DRAIN_S", "nan"),
        ("QJET_DRAIN_S", "soon"),
        ("QJET_MAX_SHOTS", "0"),
        ("QJET_LISTEN_FD", "x"),
        ("QJET_SANDBOXES", "-3"),
        ("QJET_SANDBOX_MEMORY_MB", "-1"),
        ("QJET_MAX_RESULT_MB", "0"),
        ("QJET_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_value_that_does_not_fit_names_its_variable(name, text):
    """The text shows the variable and the value it has."""
    with pytest.raises(SettingsError) as caught:
        read_settings(ExecutorSettings, {name: text})
    assert f"{name}={text!r}" in str(caught.value)


def test_a_bad_log_level_says_which_there_are():
    """The error says what would fit."""
    with pytest.raises(SettingsError, match="WARNING"):
        read_settings(CommonSettings, {"QJET_LOG_LEVEL": "LOUD"})


def test_by_default_there_is_one_sandbox_per_usable_core():
    """As many circuits run at once as there are cores for this process."""
    assert ExecutorSettings().sandbox_count == usable_cores()
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux's")
def test_cores_outside_the_affinity_are_not_counted():
    """A process bound to one core gets one sandbox."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_sandboxes_together_never_get_more_than_four_fifths_of_the_memory():
    """The rest is for the processes themselves and the system."""
    for count in (1, 2, 7):
        plan = ExecutorSettings(sandboxes=count).memory_plan
        together = plan.own_mb * (count + 1) + plan.pool_mb
        assert together <= usable_memory_mb() * 4 // 5
        assert together > usable_memory_mb() * 3 // 5
        assert plan.most_mb + plan.own_mb * count == together


def test_a_sandbox_gets_at_least_64_mib():
    """However many there are, each can run small circuits."""
    assert ExecutorSettings(sandboxes=1_000_000).memory_plan.own_mb == 64


def test_what_is_set_wins_over_what_is_worked_out():
    """Operators have the last word."""
    settings = ExecutorSettings(sandboxes=3, sandbox_memory_mb=100, sandbox_threads=5)
    plan = settings.memory_plan
    assert (settings.sandbox_count, settings.cores) == (3, 5)
    assert (plan.own_mb, plan.share_mb, plan.most_mb, plan.pool_mb) == (100, 100, 100, 0)


def test_usable_memory_is_not_more_than_the_machines():
    """In MiB, by the cgroup's limit where there is one."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < usable_memory_mb() <= machine >> 20


@pytest.mark.parametrize("kind", [GatewaySettings, ExecutorSettings])
def test_limits_come_from_the_environment(kind):
    """What one task may ask for is the operator's to say, to both who check it."""
    limits = read_settings(kind, {"QJET_MAX_SHOTS": "5", "QJET_MAX_TIMEOUT_S": "6"}).limits
    assert (limits.max_shots, limits.max_timeout_s) == (5, 6.0)


def test_executors_and_streams_agree_on_the_ack_wait():
    """Heartbeats are sent in time for the silence that the consumer allows."""
    assert ExecutorSettings().ack_wait_s == ResultstoreSettings().policy.ack_wait_s


def test_a_body_at_the_limit_fits_into_a_default_nats_message():
    """1 MiB less room for headers. Source: nats-server's default `max_payload`."""
    assert GatewaySettings().max_body_bytes <= (1 << 20) - 4096


def test_the_resultstores_policy_is_made_of_its_settings():
    """Every field of the policy is taken over."""
    wanted = {"RESULT_TTL": 10, "QUEUE_MAX_TASKS": 2, "QUEUE_MAX_BYTES": 3, "REPLICAS": 3}
    environ = {f"QJET_{name}": str(value) for name, value in {**wanted, "ACK_WAIT_S": 4}.items()}
    policy = read_settings(ResultstoreSettings, environ).policy
    assert (policy.result_ttl, policy.queue_max_tasks, policy.queue_max_bytes) == (10.0, 2, 3)
    assert (policy.replicas, policy.ack_wait_s) == (3, 4.0)
