"""What users do with a running stack: HTTP, the nats command, the qjet command, a scrape."""

import json
import math
import re
import subprocess
import sys
import urllib.request
from datetime import datetime
from pathlib import Path

import pytest
from qiskit import qasm3
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError

from qjet import Client
from tests.support.circuits import BELL, COIN_20
from tests.support.stack import RunningStack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

EXAMPLES = Path("examples")
TIMED = COIN_20.replace("h q;", "h q; rx(0.25) q;")
"""A circuit that no other test runs, so that nobody has read it before."""


def qjet(stack: RunningStack, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the qjet command against the stack."""
    command = [sys.executable, "-m", "qjet", *arguments, "--url", stack.http]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )


def run_example(stack: RunningStack, name: str, *options: str) -> dict[str, object]:
    """Run an example and return the task."""
    found = qjet(stack, "run", str(EXAMPLES / name), "--json", *options)
    assert found.returncode == 0, found.stdout + found.stderr
    return json.loads(found.stdout)


def test_bell(stack):
    """Two outcomes, about half each: 5 standard deviations at most."""
    counts = run_example(stack, "bell.qasm", "--shots", "10000")["result"]
    assert set(counts) == {"00", "11"}
    assert abs(counts["00"] - 5000) < 250


def test_ghz_20(stack):
    """All twenty qubits agree."""
    counts = run_example(stack, "ghz-20.qasm")["result"]
    assert set(counts) == {"0" * 20, "1" * 20}


def test_teleport(stack):
    """Conditionals and several registers: `out`, leftmost, is 1 in a quarter of the shots."""
    counts = run_example(stack, "teleport.qasm", "--shots", "8000")["result"]
    assert {len(key.split(" ")) for key in counts} == {3}
    ones = sum(n for key, n in counts.items() if key.startswith("1 "))
    assert abs(ones - 2000) < 200


def test_qft_5(stack):
    """The transform and its inverse give back what went in."""
    assert run_example(stack, "qft-5.qasm")["result"] == {"00001": 1024}


def test_clifford_100(stack):
    """A hundred qubits on the stabilizer method: two outcomes, each other's complement."""
    task = run_example(stack, "clifford-100.qasm", "--method", "stabilizer")
    assert task["method"] == "stabilizer"
    assert set(task["result"]) == {"10" * 50, "01" * 50}


def test_openqasm_2(stack):
    """An OpenQASM 2 program with its own gate adds one and three."""
    assert run_example(stack, "adder.qasm")["result"] == {"100": 1024}


def test_run_prints_a_table(stack):
    """`qjet run` shows outcomes, shares and bars."""
    found = qjet(stack, "run", "-", "--seed", "7", stdin=BELL)
    assert found.returncode == 0
    assert "outcome" in found.stdout
    assert "█" in found.stdout


def test_submit_status_result(stack):
    """The API from a shell, a step at a time."""
    task_id = qjet(stack, "submit", str(EXAMPLES / "bell.qasm")).stdout.strip()
    assert qjet(stack, "result", task_id).returncode == 0
    assert qjet(stack, "status", task_id).stdout.startswith("completed")


def test_a_batch_from_the_shell_and_from_python(stack):
    """`qjet submit` of several files prints an id for each; in Python, all results come at once."""
    files = [str(EXAMPLES / name) for name in ("bell.qasm", "ghz-20.qasm", "qft-5.qasm")]
    task_ids = qjet(stack, "submit", *files, "--shots", "50").stdout.split()
    assert len(set(task_ids)) == 3
    for task_id in task_ids:
        assert qjet(stack, "result", task_id).returncode == 0
    batch = json.loads(qjet(stack, "submit", *files, "--json").stdout)
    with Client(stack.http) as client:
        state = client.get_batch(batch["batch_id"], wait_s=30)
        assert [member.task_id for member in state.tasks] == batch["task_ids"]
        assert state.counts.completed == 3
        many = [{"qc": BELL, "shots": 10 + n} for n in range(200)]
        tasks = client.run_all([*many, {"qc": "OPENQASM 3;\nqubit q\n"}])
    assert [task.shots for task in tasks[:-1]] == [10 + n for n in range(200)]
    assert all(sum(task.result.values()) == task.shots for task in tasks[:-1])
    assert tasks[-1].error.code == "qasm_syntax"


def test_exit_codes_say_what_went_wrong(stack):
    """1: the task failed; 2: bad use; 3: no server."""
    failed = qjet(stack, "run", "-", stdin="OPENQASM 3;\nqubit q\n")
    assert failed.returncode == 1
    assert "qasm_syntax" in failed.stdout
    assert qjet(stack, "run", "no-such-file.qasm").returncode == 2
    refused = qjet(stack, "run", "-", "--shots", "0", stdin=BELL)
    assert (refused.returncode, "shots" in refused.stderr) == (2, True)
    command = [sys.executable, "-m", "qjet", "status", "x", "--url", "http://127.0.0.1:9"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 3


def test_a_noisy_sweep_with_observables(stack, tmp_path):
    """What `qjet run --json` says of each point is what Aer gives for it alone, with the seed."""
    points = [{"theta": 0.0}, {"theta": 1.0}, {"theta": 2.5}]
    sweep, noise = tmp_path / "sweep.json", tmp_path / "noise.json"
    sweep.write_text(json.dumps(points))
    noise.write_text('{"readout": {"p01": 0.1, "p10": 0.2}}')
    files = ("--sweep", str(sweep), "--noise", str(noise))
    task = run_example(stack, "rotation.qasm", *files, "--observable", "Z", "--seed", "3")
    model = NoiseModel()
    model.add_all_qubit_readout_error(ReadoutError([[0.9, 0.1], [0.2, 0.8]]))
    aer = AerSimulator(noise_model=model)
    circuit = qasm3.loads((EXAMPLES / "rotation.qasm").read_text())
    for point, counts, values in zip(
        points, task["result"], task["expectation_values"], strict=True
    ):
        bound = circuit.assign_parameters(point)
        assert counts == aer.run(bound, shots=1024, seed_simulator=3).result().get_counts()
        assert values[0]["value"] == pytest.approx(math.cos(point["theta"]))


def test_the_phases_of_a_task_are_its_time(stack):
    """From submission to end, but for the ways between processes; known circuits are not read."""
    options = ("--shots", "100000", "--method", "statevector", "--seed", "2")
    tasks = [json.loads(qjet(stack, "run", "-", "--json", *options, stdin=TIMED).stdout)]
    tasks.append(json.loads(qjet(stack, "run", "-", "--json", *options, stdin=TIMED).stdout))
    for task in tasks:
        created, finished = (
            datetime.fromisoformat(task[f"{e}_at"]) for e in ("created", "finished")
        )
        whole_s = (finished - created).total_seconds()
        timings = task["timings"]
        assert timings.keys() == {"queue", "parse", "transpile", "simulate", "count"}
        assert 0.75 * whole_s - 0.1 < sum(timings.values()) <= whole_s + 0.01
        assert min(timings["simulate"], timings["count"]) > 0
    assert tasks[0]["timings"]["parse"] > 0
    assert tasks[1]["timings"]["parse"] == tasks[1]["timings"]["transpile"] == 0


def test_a_large_result_reads_the_same_as_a_small_one(stack):
    """Counts too large for a message come back whole over HTTP, with no trace of the blob."""
    options = ("--shots", "100000", "--method", "statevector", "--seed", "1")
    found = qjet(stack, "run", "-", "--json", *options, stdin=COIN_20)
    task = json.loads(found.stdout)
    assert sum(task["result"].values()) == 100_000
    assert len(task["result"]) > 90_000
    assert "blob" not in task


PHASES = ("queue", "parse", "transpile", "simulate", "count", "deliver", "store")


async def test_metrics_of_every_service_after_real_tasks(stack):
    """A scrape of each service shows the tasks, and the JSON form agrees."""
    for _ in range(3):
        run_example(stack, "bell.qasm")
    urls = [line.split()[1] for line in stack.output.splitlines() if "  metrics  " in line]
    scraped = "\n".join(fetch(url) for url in [*urls, f"{stack.http}/metrics"])
    for name in (
        "qjet_build_info",
        "qjet_http_requests_total",
        "qjet_http_request_duration_seconds_count",
        "qjet_tasks_submitted_total",
        "qjet_tasks_finished_total",
        *(f'qjet_task_phase_seconds_count{{phase="{phase}"}} ' for phase in PHASES),
        "qjet_tasks_in_flight",
        "qjet_queue_depth",
        "qjet_task_redeliveries_total",
        "qjet_results_stored_total",
        "qjet_sandboxes",
    ):
        assert f"\n{name}" in scraped, name
    assert "# TYPE qjet_sandbox_restarts_total counter" in scraped
    assert task_ids(scraped) == []

    def agree() -> bool:
        figures = json.loads(fetch(f"{stack.http}/metrics", Accept="application/json"))
        text = fetch(f"{stack.http}/metrics")
        completed = figures["queue_stats"]["completed_tasks"]
        failed = figures["task_stats"]["failed"]
        return (
            completed >= 3
            and figures["queue_stats"]["pending_tasks"] == 0
            and figures["task_stats"]["total"] == completed + failed
            and f'qjet_tasks{{state="completed"}} {completed:.1f}' in text
            and f'qjet_tasks{{state="error"}} {failed:.1f}' in text
        )

    await wait_until(agree, "both forms show the finished tasks")


def task_ids(text: str) -> list[str]:
    """Return the labels that hold a task id."""
    return re.findall(r"task_id=|[0-9a-f]{8}-[0-9a-f]{4}-7", text)


def fetch(url: str, **headers: str) -> str:
    """Return the text at an address."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as got:
        return got.read().decode()


class TestNatsCommand:
    """The real `nats` command, as in the README."""

    @pytest.fixture
    def nats(self, nats_cli: str, stack: RunningStack):
        def run(*arguments: str) -> str:
            command = [nats_cli, "--server", stack.nats, *arguments]
            found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            assert found.returncode == 0, found.stdout + found.stderr
            return found.stdout + found.stderr

        return run

    async def test_a_request_is_a_durable_submission(self, nats):
        """`nats req qjet.submit.<id>` gets the PubAck; `nats kv get` the counts."""
        answer = nats("req", "qjet.submit.from-cli", (EXAMPLES / "bell.qasm").read_text())
        assert '"stream":"QJET_TASKS"' in answer.replace(" ", "")

        def stored() -> dict[str, object] | None:
            try:
                return json.loads(nats("kv", "get", "qjet-results", "from-cli", "--raw"))
            except AssertionError:
                return None

        task = await wait_until(stored, "the result is in the bucket")
        assert sum(task["result"].values()) == 1024

    def test_the_micro_service_is_found_and_asked(self, nats):
        """`nats micro ls`, `nats micro stats qjet` and `nats req qjet.api.…` work."""
        assert "qjet" in nats("micro", "ls")
        answer = nats("req", "--raw", "qjet.api.submit", BELL)
        task_id = json.loads(answer)["task_id"]
        assert json.loads(nats("req", "--raw", "qjet.api.get", task_id))["task_id"] == task_id
        assert "submit" in nats("micro", "stats", "qjet")

    def test_events_are_heard(self, nats_cli, stack):
        """`nats sub 'qjet.events.>'` hears a task start and end, the end once."""
        command = [nats_cli, "--server", stack.nats, "sub", "qjet.events.heard.*", "--count", "2"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as sub:
            try:
                while b"Subscribing" not in sub.stdout.readline():
                    pass
                submit = [nats_cli, "--server", stack.nats, "req", "qjet.submit.heard", BELL]
                subprocess.run(submit, check=True, capture_output=True, timeout=30)
                output, _ = sub.communicate(timeout=30)
            finally:
                sub.kill()
        assert b"qjet.events.heard.running" in output
        assert b"qjet.events.heard.completed" in output
