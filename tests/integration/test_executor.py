"""The executor with a real broker: from a published circuit to its result."""

import asyncio
import json
import os
import signal
import socket
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client as NatsClient
from qiskit import qasm3
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error

from tests.support.circuits import BELL, COIN_20, ENDLESS
from tests.support.services import Service, service
from tests.support.tasks import entry, final, stream_messages, submit
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def sandboxes(executor: Service) -> set[int]:
    """Return the process ids of an executor's sandboxes."""
    children = Path(f"/proc/{executor.process.pid}/task/{executor.process.pid}/children")
    return {int(pid) for pid in children.read_text().split()}


async def busy_sandbox(executor: Service) -> int:
    """Return the process id of the sandbox that works, once one does."""

    def look() -> int | None:
        for pid in sandboxes(executor):
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            if state == "R":
                return pid
        return None

    return await wait_until(look, "a sandbox works")


def metric(text: str, name: str) -> float:
    """Return the value of one sample in Prometheus text, 0 where it is missing."""
    for line in text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


async def test_bare_openqasm_becomes_counts_in_the_bucket(executor, nc: NatsClient):
    """A published circuit runs without any gateway, and leaves the work queue."""
    await submit(nc, "bell-1", BELL)
    task = await final(nc, "bell-1")
    assert task["status"] == "completed"
    assert set(task["result"]) == {"00", "11"}
    assert sum(task["result"].values()) == 1024
    assert (task["attempts"], task["shots"]) == (1, 1024)
    assert set(task["timings"]) == {"queue", "parse", "transpile", "simulate", "count"}
    await wait_until(
        lambda: _is_empty(nc, "QJET_TASKS"), "the task is acknowledged and leaves the stream"
    )


async def _is_empty(nc: NatsClient, stream: str) -> bool:
    return await stream_messages(nc, stream) == 0


async def test_a_seed_gives_what_aer_gives(executor, nc: NatsClient):
    """With a seed, counts and per-shot outcomes are Aer's own, bit for bit."""
    wanted = {"qc": BELL, "shots": 500, "seed": 42, "memory": True, "method": "statevector"}
    await submit(nc, "seeded", wanted)
    task = await final(nc, "seeded")
    aer = AerSimulator(method="statevector")
    reference = aer.run(qasm3.loads(BELL), shots=500, seed_simulator=42, memory=True).result()
    assert task["result"] == dict(reference.get_counts())
    assert task["memory"] == reference.get_memory()


async def test_a_sweep_gives_counts_for_each_point(shared_executor, shared_nc: NatsClient):
    """With a seed, each is what Aer gives for that point alone."""
    source = (
        'OPENQASM 3; include "stdgates.inc"; input float theta; qubit q; bit[1] c;'
        "ry(theta) q; c = measure q;"
    )
    points = [{"theta": 0.5}, {"theta": 2}]
    wanted = {"qc": source, "shots": 500, "seed": 42, "parameters": points}
    await submit(shared_nc, "sweep", wanted)
    task = await final(shared_nc, "sweep")
    circuits = [qasm3.loads(source).assign_parameters(point) for point in points]
    results = [AerSimulator().run(c, shots=500, seed_simulator=42).result() for c in circuits]
    assert task["result"] == [dict(result.get_counts()) for result in results]


async def test_noise_gives_what_aer_gives_with_the_same_model(
    shared_executor, shared_nc: NatsClient
):
    """Aer's own model, as it writes it."""
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, 1), ["h"])
    wanted = {"qc": BELL, "shots": 500, "seed": 42}
    await submit(shared_nc, "noisy", {**wanted, "noise_model": model.to_dict(serializable=True)})
    task = await final(shared_nc, "noisy")
    aer = AerSimulator(noise_model=model)
    reference = aer.run(qasm3.loads(BELL), shots=500, seed_simulator=42).result()
    assert task["result"] == dict(reference.get_counts())


async def test_observables_give_expectation_values(shared_executor, shared_nc: NatsClient):
    """Exact ones, and no counts where nothing is measured."""
    source = 'OPENQASM 3; include "stdgates.inc"; qubit[2] q; h q[0]; cx q[0], q[1];'
    wanted = {"qc": source, "shots": 100, "observables": [{"ZZ": 0.5, "XX": 2}, {"IZ": 1}]}
    await submit(shared_nc, "observed", wanted)
    task = await final(shared_nc, "observed")
    assert (task["status"], task["result"]) == ("completed", None)
    assert task["expectation_values"] == [
        {"value": pytest.approx(2.5), "standard_error": pytest.approx(0, abs=1e-6)},
        {"value": pytest.approx(0), "standard_error": pytest.approx(0.1)},
    ]


async def test_precision_and_method_options_reach_aer(shared_executor, shared_nc: NatsClient):
    """A bond dimension of one cannot hold a Bell state: its outcomes are all the same."""
    options = {"matrix_product_state_max_bond_dimension": 1}
    wanted = {"qc": BELL, "method": "matrix_product_state", "method_options": options, "seed": 1}
    await submit(shared_nc, "options", {**wanted, "precision": "single"})
    task = await final(shared_nc, "options")
    aer = AerSimulator(method="matrix_product_state", precision="single", **options)
    reference = aer.run(qasm3.loads(BELL), seed_simulator=1).result().get_counts()
    assert task["result"] == dict(reference)
    assert len(reference) == 1


BAD_SUBMISSIONS = [
    (b"", "qasm_syntax", "empty"),
    (b"hello", "qasm_syntax", "ends in the middle"),
    (b"\xff\xfe", "qasm_syntax", "0xff"),
    (b"{", "qasm_syntax", "truncated"),
    (b"[1]", "invalid_option", "object"),
    (b'{"qc": "x", "shots": 0}', "invalid_option", "shots"),
    (b'{"qc": "x", "wat": 1}', "invalid_option", "wat"),
    (b'{"qc": "qubit q; bit c; c = measure q;", "parameters": {"a": 1}}', "invalid_option", ".a:"),
    (json.dumps({f"k{n}": 1 for n in range(20_000)}).encode(), "invalid_option", "more fields"),
    (b'{"' + b"k" * 900_000 + b'": 1}', "invalid_option", "unknown field"),
    (b"OPENQASM 1.0; qreg q[1];", "qasm_unsupported", "OpenQASM 1.0"),
    (b'OPENQASM 3; include "/etc/passwd"; qubit q;', "qasm_unsupported", "/etc/passwd"),
    (b'OPENQASM 2.0; include "/etc/passwd"; qreg q[1];', "qasm_unsupported", "/etc/passwd"),
    (b"OPENQASM 3; qubit q;", "no_measurements", "measures nothing"),
    (b"OPENQASM 3; qubit q; bit c; foo q; c = measure q;", "qasm_syntax", "foo"),
]


@pytest.mark.parametrize(("payload", "code", "says"), BAD_SUBMISSIONS)
async def test_what_cannot_be_run_becomes_a_typed_error(
    shared_executor, shared_nc: NatsClient, payload, code, says
):
    """A message nobody can run ends as an error that says why, and is not delivered again."""
    task_id = f"bad-{BAD_SUBMISSIONS.index((payload, code, says))}"
    await submit(shared_nc, task_id, payload)
    task = await final(shared_nc, task_id)
    assert (task["status"], task["error"]["code"]) == ("error", code)
    assert says in task["error"]["message"]
    assert task["message"] == task["error"]["message"]
    await wait_until(lambda: _is_empty(shared_nc, "QJET_TASKS"), "the message is acknowledged")


async def test_a_syntax_error_on_line_7_says_line_7(executor, nc: NatsClient):
    """The place in the error is the place in the text."""
    source = "OPENQASM 3;\n\n\nqubit q;\nbit c;\n\n  c = = measure q;\n"
    await submit(nc, "line-7", source)
    error = (await final(nc, "line-7"))["error"]
    assert (error["code"], error["line"], error["column"]) == ("qasm_syntax", 7, 7)


@pytest.mark.parametrize("task_id", ["a.b", "*", "a.>", "dollar$", "x" * 300])
async def test_an_id_that_cannot_be_used_gets_its_error_and_hurts_nobody(
    executor, broker, nc: NatsClient, task_id
):
    """What somebody manages to publish under a strange id ends as an error under its token."""
    nc._skip_subject_validation = True
    await submit(nc, task_id, BELL)
    await submit(nc, "good", BELL)

    async def announced() -> int:
        return await stream_messages(nc, "QJET_EVENTS")

    assert (await final(nc, "good"))["status"] == "completed"
    await wait_until(lambda: _equals(announced, 2), "both tasks are announced final")
    keys = await (await nc.jetstream().key_value("qjet-results")).keys()
    (strange,) = set(keys) - {"good"}
    task = await entry(nc, strange)
    assert (task["task_id"], task["error"]["code"]) == (task_id, "invalid_option")


RAW_PUBLICATIONS = [
    b"PUB qjet.submit.\xff\xfe 1\r\nx\r\n",
    b"HPUB qjet.submit.status 14 15\r\nNATS/1.0 \xff\r\n\r\nx\r\n",
    b"HPUB qjet.submit.beat 24 24\r\nNATS/1.0\r\nStatus:100\r\n\r\n\r\n",
]


@pytest.mark.parametrize("publication", RAW_PUBLICATIONS)
async def test_bytes_that_are_no_text_stop_nobody(executor, broker, nc: NatsClient, publication):
    """A subject or header that no client would send ends as an error, and the next task runs."""
    with socket.create_connection(("127.0.0.1", broker.port)) as raw:
        raw.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n' + publication + b"PING\r\n")
        answer = b""
        while b"PONG" not in answer:
            part = raw.recv(4096)
            assert part, answer
            answer += part
    assert b"-ERR" not in answer
    await submit(nc, "good", BELL)
    assert (await final(nc, "good", timeout_s=10))["status"] == "completed"
    await wait_until(lambda: _is_empty(nc, "QJET_TASKS"), "both are acknowledged", timeout_s=10)
    assert await stream_messages(nc, "QJET_RESULTS") == 2


async def test_a_stored_message_cannot_pose_as_the_servers_answer(executor, nc: NatsClient):
    """A result with a header `Status: 503` is a result, however wrong, and holds nobody up."""
    await nc.jetstream().publish("qjet.results.posed", b"", headers={"Status": "503"})
    await submit(nc, "posed", BELL)
    await submit(nc, "good", BELL)
    assert (await final(nc, "good", timeout_s=10))["status"] == "completed"
    assert (await final(nc, "posed", timeout_s=10))["status"] == "error"


async def _equals(read, wanted) -> bool:
    return await read() == wanted


async def test_the_same_id_again_is_the_same_task(executor, nc: NatsClient):
    """A second submission under a used id changes nothing."""
    await submit(nc, "once", {"qc": BELL, "seed": 1})
    first = await final(nc, "once")
    await submit(nc, "once", {"qc": BELL, "seed": 2, "shots": 5})
    await wait_until(lambda: _is_empty(nc, "QJET_TASKS"), "the second one is acknowledged")
    assert await entry(nc, "once") == first
    assert metric(executor.get("/metrics").decode(), "qjet_duplicate_results_total") == 1


async def test_a_circuit_that_takes_too_long_ends_and_the_next_one_runs(executor, nc: NatsClient):
    """The time limit kills the sandbox only; a new one takes the next task."""
    before = sandboxes(executor)
    await submit(nc, "endless", {"qc": ENDLESS, "timeout_s": 0.5})
    error = (await final(nc, "endless"))["error"]
    assert error["code"] == "time_limit"
    assert "0.5 seconds" in error["message"]
    await submit(nc, "after", BELL)
    assert (await final(nc, "after"))["status"] == "completed"
    assert len(before - sandboxes(executor)) == 1
    text = executor.get("/metrics").decode()
    assert metric(text, 'qjet_sandbox_restarts_total{reason="time_limit"}') == 1


async def test_a_task_longer_than_the_ack_wait_is_delivered_once(executor, nc: NatsClient):
    """Heartbeats keep a long task from being given to somebody else."""
    await submit(nc, "long", {"qc": ENDLESS, "timeout_s": 5})
    task = await final(nc, "long")
    assert (task["error"]["code"], task["attempts"]) == ("time_limit", 1)
    assert metric(executor.get("/metrics").decode(), "qjet_task_redeliveries_total") == 0


async def test_a_killed_sandbox_costs_an_attempt_not_the_task(executor, nc: NatsClient):
    """Kill -9 of the sandbox under a task: it is tried again, and says so."""
    running = await nc.subscribe("qjet.events.*.running")
    await nc.flush()
    await submit(nc, "victim", {"qc": ENDLESS, "timeout_s": 3})
    await running.next_msg(10)
    os.kill(await busy_sandbox(executor), signal.SIGKILL)
    task = await final(nc, "victim")
    assert (task["attempts"], task["error"]["code"]) == (2, "time_limit")
    text = executor.get("/metrics").decode()
    assert metric(text, 'qjet_sandbox_restarts_total{reason="killed"}') == 1
    assert metric(text, "qjet_task_redeliveries_total") == 1


async def test_an_idle_sandbox_that_dies_is_replaced(executor, nc: NatsClient):
    """Nobody's task pays for a sandbox that died while it had nothing to do."""
    before = sandboxes(executor)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: sandboxes(executor) - before, "there is a new sandbox")
    await submit(nc, "next", BELL)
    assert (await final(nc, "next"))["attempts"] == 1


def test_a_device_that_is_not_there_is_said_at_once(broker, tmp_path):
    """The executor drains, logs why and ends with code 2, like other wrong settings."""
    with service(
        "executor", broker.url, tmp_path, ready=False, executor_device="GPU", sandboxes=1
    ) as running:
        assert running.process.wait(60) == 2
        said = [line for line in running.log_lines() if line["event"] == "service.unusable"]
    assert len(said) == 1
    assert "QJET_EXECUTOR_DEVICE='GPU'" in said[0]["error"]
    assert "qiskit-aer-gpu" in said[0]["error"]


async def test_a_sandbox_outlives_nobody(executor):
    """Kill -9 of the executor takes its sandboxes along."""
    pids = sandboxes(executor)
    assert pids
    executor.process.kill()
    executor.process.wait()
    await wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the sandboxes are gone"
    )


async def test_a_drained_executor_hands_back_what_it_cannot_finish(
    resultstore, broker, nc: NatsClient, tmp_path
):
    """SIGTERM: exit 0 within the drain time, and the task goes to another executor at once."""
    options = {"sandboxes": 1, "drain_s": 0.5, "ack_wait_s": 30}
    with service("executor", broker.url, tmp_path, **options) as first:
        running = await nc.subscribe("qjet.events.*.running")
        await nc.flush()
        await submit(nc, "handed", {"qc": ENDLESS, "timeout_s": 2})
        await running.next_msg(10)
        first.process.terminate()
        assert first.process.wait(10) == 0
    with service("executor", broker.url, tmp_path, **options):
        task = await final(nc, "handed", timeout_s=15)
    assert (task["attempts"], task["error"]["code"]) == (2, "time_limit")


async def test_no_more_is_taken_than_can_start(executor, nc: NatsClient):
    """While a long task runs, the other long ones stay in the queue for other executors."""
    for number in range(5):
        await submit(nc, f"slow-{number}", {"qc": ENDLESS, "timeout_s": 2})

    async def queue() -> tuple[int, int]:
        info = await nc.jetstream().consumer_info("QJET_TASKS", "executors-large")
        return (info.num_ack_pending, info.num_pending)

    await wait_until(lambda: _equals(queue, (1, 4)), "one task is taken, four wait")


async def test_running_is_announced_and_in_the_heartbeat(executor, nc: NatsClient):
    """A running task is told once as an event and again in each heartbeat."""
    events = await nc.subscribe("qjet.events.shown.running")
    heartbeats = await nc.subscribe("qjet.heartbeats.executor.*")
    await nc.flush()
    await submit(nc, "shown", {"qc": ENDLESS, "timeout_s": 3})
    event = json.loads((await events.next_msg(10)).data)
    assert (event["status"], event["attempt"]) == ("running", 1)

    async def told() -> bool:
        heartbeat = json.loads((await heartbeats.next_msg(3)).data)
        return [task["task_id"] for task in heartbeat["running"]] == ["shown"]

    await wait_until(told, "a heartbeat lists the task")


async def test_a_result_too_large_for_a_message_goes_to_the_object_store(executor, nc: NatsClient):
    """The entry names the blob, and the blob holds the counts."""
    await submit(nc, "large", {"qc": COIN_20, "shots": 100_000, "method": "statevector"})
    task = await final(nc, "large", timeout_s=60)
    assert (task["status"], task["result"]) == ("completed", None)
    store = await nc.jetstream().object_store("qjet-blobs")
    data = (await store.get(task["blob"]["name"])).data
    assert len(data) == task["blob"]["size_bytes"] > 1_000_000
    assert sum(json.loads(data)["result"].values()) == 100_000


async def test_metrics_are_set_by_real_tasks(executor, nc: NatsClient):
    """After a good and a bad task, every metric of the executor shows them."""
    await submit(nc, "good", BELL)
    await submit(nc, "bad", "OPENQASM 3; qubit q;")
    await final(nc, "good")
    await final(nc, "bad")
    text = executor.get("/metrics").decode()
    assert metric(text, 'qjet_tasks_finished_total{outcome="completed"}') == 1
    assert metric(text, 'qjet_tasks_finished_total{outcome="error"}') == 1
    assert metric(text, 'qjet_task_errors_total{code="no_measurements"}') == 1
    assert metric(text, 'qjet_tasks_submitted_total{source="subject"}') == 2
    for phase in ("queue", "parse", "transpile", "simulate", "count", "deliver"):
        assert metric(text, f'qjet_task_phase_seconds_count{{phase="{phase}"}}') == 2
    assert 'qjet_build_info{service="executor"' in text
    await wait_until(
        lambda: metric(executor.get("/metrics").decode(), 'qjet_sandboxes{state="idle"}') == 2,
        "the second sandbox is warm too",
    )


EVERYTHING = {
    "qc": 'OPENQASM 3; include "stdgates.inc"; input float a; qubit[2] q; bit[2] c;'
    "ry(a) q[0]; cx q[0], q[1]; c = measure q;",
    "shots": 300,
    "seed": 5,
    "method": "density_matrix",
    "precision": "single",
    "method_options": {"fusion_enable": False},
    "noise_model": {"depolarizing": {"two_qubit": 0.1}},
    "parameters": [{"a": 0.5}, {"a": 2.0}],
    "observables": [{"ZZ": 1.0}],
    "memory": True,
}


async def test_everything_asked_for_at_once_is_what_aer_gives(executor, nc: NatsClient):
    """Over NATS alone: noise, a sweep, observables, precision, options and each shot's outcome."""
    await submit(nc, "everything", EVERYTHING)
    task = await final(nc, "everything")
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), ["cx"])
    aer = AerSimulator(
        method="density_matrix", noise_model=model, precision="single", fusion_enable=False
    )
    for number, point in enumerate(EVERYTHING["parameters"]):
        circuit = qasm3.loads(EVERYTHING["qc"]).assign_parameters(point)
        alone = aer.run(circuit, shots=300, seed_simulator=5, memory=True).result()
        assert task["result"][number] == alone.get_counts()
        assert task["memory"][number] == alone.get_memory()
        value = task["expectation_values"][number][0]["value"]
        assert value == pytest.approx(0.9, abs=1e-5)


SWEEP_OF_COINS = {
    "qc": 'OPENQASM 3; include "stdgates.inc"; input float a; qubit[12] q; bit[12] c;'
    "ry(a) q; c = measure q;",
    "shots": 2000,
    "parameters": [{"a": 1.0 + number / 1000} for number in range(100)],
}


async def test_a_sweep_too_large_for_a_message_goes_by_the_blob(executor, nc: NatsClient):
    """Its points stay in their order."""
    await submit(nc, "coins", SWEEP_OF_COINS)
    task = await final(nc, "coins")
    assert task["result"] is None
    store = await nc.jetstream().object_store("qjet-blobs")
    found = json.loads((await store.get(task["blob"]["name"])).data)
    assert [sum(counts.values()) for counts in found["result"]] == [2000] * 100
    assert len(msgspec.json.encode(found["result"])) > 1_000_000


async def test_a_broker_restart_loses_nothing(executor, broker, nc: NatsClient):
    """Kill -9 of the broker with tasks waiting: started on its data again, all of them end."""
    names = [f"kept-{number}" for number in range(20)]
    for name in names:
        await submit(nc, name, BELL)
    broker.kill()
    broker.start()
    await wait_until(lambda: nc.is_connected, "the test's client is back")
    tasks = await asyncio.gather(*(final(nc, name, timeout_s=60) for name in names))
    assert Counter(task["status"] for task in tasks) == {"completed": 20}
    assert await stream_messages(nc, "QJET_RESULTS") == 20
    assert await stream_messages(nc, "QJET_EVENTS") == 20
