"""What the machine allows, read from control groups of either version."""

import pytest

from qjet_executor import machine

pytestmark = pytest.mark.unit

V2 = "0::/qjet.slice/executor\n"
V1 = "9:name=systemd:/\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n"


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Write kernel files into a folder of the test's own."""
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "_MEMBERSHIPS", tmp_path / "self")
    machine._oom_count_descriptor.cache_clear()

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    yield write
    machine._oom_count_descriptor.cache_clear()


@pytest.mark.parametrize(
    "files",
    [
        {"self": V2, "qjet.slice/executor/memory.max": "536870912\n"},
        {"self": V2, "qjet.slice/executor/memory.max": "max\n", "memory.max": "536870912\n"},
        {"self": V2, "qjet.slice/memory.max": "536870912", "memory.max": "99999999999"},
        {"self": "0::/\n", "memory.max": "536870912\n"},
        {"self": V1, "memory/docker/abc/memory.limit_in_bytes": "536870912\n"},
        {"self": V1, "memory/memory.limit_in_bytes": "536870912\n"},
    ],
)
def test_the_tightest_memory_limit_on_the_way_up_counts(kernel, files):
    """Whichever group of whichever version sets it, and inside a container at the root."""
    kernel(files)
    assert machine.usable_memory_mb() == 512


@pytest.mark.parametrize(
    "files",
    [
        {"self": V2, "qjet.slice/executor/cpu.max": "100000 100000\n"},
        {"self": V2, "qjet.slice/executor/cpu.max": "max 100000", "cpu.max": "50000 100000"},
        {
            "self": V1,
            "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "100000",
            "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
        },
    ],
)
def test_a_quota_limits_the_cores(kernel, files):
    """At least one is left."""
    kernel(files)
    assert machine.usable_cores() == 1


@pytest.mark.parametrize("quota", ["max 100000", "-1", ""])
def test_no_quota_is_no_limit(kernel, quota):
    """The processor's cores by affinity are then what there is."""
    kernel({"self": V2})
    unlimited = machine.usable_cores()
    kernel({"qjet.slice/executor/cpu.max": quota})
    assert machine.usable_cores() == unlimited


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({"self": V2, "qjet.slice/executor/memory.events": "oom 3\noom_kill 2\n"}, 2),
        ({"self": V1, "memory/memory.oom_control": "under_oom 0\noom_kill 5\n"}, 5),
        ({"self": V2}, 0),
        ({}, 0),
    ],
)
def test_kills_for_want_of_memory_are_counted(kernel, files, kills):
    """By the kernel, per group; where nothing says so, there are none."""
    kernel(files)
    assert machine.oom_kills() == kills


def test_the_count_is_read_anew_each_time(kernel):
    """It grows while the executor runs."""
    kernel({"self": "0::/\n", "memory.events": "oom_kill 0\n"})
    assert machine.oom_kills() == 0
    kernel({"memory.events": "oom_kill 1\n"})
    assert machine.oom_kills() == 1
