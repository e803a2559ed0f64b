"""`make bench` end to end, on a small scale: what it starts, checks, prints and writes."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e


def test_a_quick_bench_writes_figures_targets_and_every_round(tmp_path):
    """A row through the service and one in a process beside it; their figures are sane."""
    out = tmp_path / "bench.json"
    command = (sys.executable, "-m", "tests.bench.bench", "--quick", "--only", "latency,read-qft")
    done = subprocess.run(
        [*command, "--out", str(out)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    assert document["options"]["is_quick"]
    assert document["machine"]["cores_used"] >= 1
    assert {"qjet", "qiskit", "qiskit-aer", "nats-server", "commit"} <= document["versions"].keys()
    assert document["rows"].keys() == {"latency", "read-qft"}
    for row in document["rows"].values():
        assert len(row["rounds"]) == document["options"]["rounds"]
        for line in row["lines"]:
            assert 0 < line["min"] <= line["median"] <= line["max"]
            assert line["title"].split(":")[0][:20] in done.stdout
    assert all(len(each["qjet"]["all"]) == 20 for each in document["rows"]["latency"]["rounds"])
    assert any(line["target"] and line["is_met"] is not None for line in row["lines"])


def test_an_unknown_row_is_named():
    """Exit code 2, and what could have been asked for."""
    command = (sys.executable, "-m", "tests.bench.bench", "--only", "nonsense")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
