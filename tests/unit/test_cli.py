"""The command line: exit codes and what is said when something is wrong."""

import io
import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest
from rich.console import Console

from qjet import cli
from qjet_shared.batches import BatchAccepted
from qjet_shared.messages.answers import Accepted, Problem
from qjet_shared.messages.task import Task

pytestmark = pytest.mark.unit

QASM = "OPENQASM 3; qubit q; bit c; c = measure q;"


@pytest.fixture
def circuit(tmp_path):
    path = tmp_path / "bell.qasm"
    path.write_text(QASM)
    return str(path)


@pytest.fixture
def nobody():
    """Give the address of a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def answering(*answers):
    """Serve `(status, body)` in turn, the last one for ever; yields the address and requests."""
    left, seen = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length", 0))
            seen.append((self.command, self.path, self.rfile.read(length)))
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  # the base class's name

        def log_message(self, *args):
            del args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def encoded(status, message):
    return status, msgspec.json.encode(message)


def task(status="completed", **fields):
    return encoded(200, Task(task_id="t-1", status=status, message="m", **fields))


ACCEPTED = encoded(202, Accepted(task_id="t-1"))


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "x", "--shots", "many"],
        ["run", "x", "--method", "fast"],
        ["run", "x", "--shotz", "1"],
        ["status"],
        ["up", "--http-port", "x"],
    ],
)
def test_arguments_that_do_not_parse_are_bad_use(argv, capsys):
    """Exit code 2, and usage on standard error."""
    with pytest.raises(SystemExit) as caught:
        cli.run(argv)
    assert caught.value.code == 2
    assert "usage: qjet" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_missing_file_is_bad_use(command, tmp_path, nobody, capsys):
    """The file is named, and no server is asked."""
    missing = tmp_path / "none.qasm"
    assert cli.run([command, str(missing), "--url", nobody]) == 2
    assert str(missing) in capsys.readouterr().err


def test_a_file_that_is_no_text_is_bad_use(tmp_path, nobody, capsys):
    """Named, without a traceback."""
    path = tmp_path / "x.qasm"
    path.write_bytes(b"\xff\xfe\x00")
    assert cli.run(["run", str(path), "--url", nobody]) == 2
    assert "x.qasm" in capsys.readouterr().err


def test_a_folder_is_no_file(tmp_path, nobody):
    """Also bad use."""
    assert cli.run(["run", str(tmp_path), "--url", nobody]) == 2


@pytest.mark.parametrize("command", ["run", "submit", "status", "result"])
def test_no_server_is_exit_code_3(command, circuit, nobody, capsys):
    """The address is named, and how to start one."""
    argument = circuit if command in {"run", "submit"} else "t-1"
    assert cli.run([command, argument, "--url", nobody]) == 3
    said = capsys.readouterr().err
    assert nobody in said
    assert "qjet up" in said


@pytest.mark.parametrize("answer", [(200, b"<html>hello</html>"), (200, b"{}"), (502, b"oops")])
@pytest.mark.parametrize("command", ["submit", "status"])
def test_a_server_that_does_not_speak_qjet_is_exit_code_3(answer, command, circuit):
    """Whatever it says, there is no traceback."""
    with answering(answer) as (url, _):
        argument = circuit if command == "submit" else "t-1"
        assert cli.run([command, argument, "--url", url]) == 3


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://[", "http://x:port"])
def test_an_address_that_is_none_is_told_so(url):
    """Exit code 2 or 3, never a traceback."""
    assert cli.run(["status", "t-1", "--url", url]) in {2, 3}


def test_a_refusal_is_bad_use_and_shows_each_field(circuit, capsys):
    """What the server says of the fields reaches the user."""
    problem = {
        "type": "urn:qjet:problem:validation",
        "title": "The input is not valid",
        "status": 422,
        "detail": "shots: too many",
        "code": "validation",
        "errors": [{"field": "shots", "message": "too many"}],
    }
    with answering((422, json.dumps(problem).encode())) as (url, _):
        assert cli.run(["submit", circuit, "--url", url]) == 2
    assert "shots: too many" in capsys.readouterr().err


def test_an_unknown_task_is_bad_use(capsys):
    """404 shows the problem's detail."""
    problem = Problem(type="t", title="Not Found", status=404, detail="No task.", code="not_found")
    with answering(encoded(404, problem)) as (url, _):
        assert cli.run(["status", "t-1", "--url", url]) == 2
    assert "No task." in capsys.readouterr().err


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("error", 1), ("cancelled", 1)])
def test_run_exits_by_how_the_task_ended(status, code, circuit, capsys):
    """0 completed, 1 anything else; `--json` prints the task."""
    with answering(ACCEPTED, task(status)) as (url, _):
        assert cli.run(["run", circuit, "--url", url, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["status"] == status


def test_run_waits_until_the_task_is_final(circuit, capsys):
    """Polls again while it is pending or running."""
    answers = (ACCEPTED, task("pending"), task("running"), task(result={"0": 1}))
    with answering(*answers) as (url, seen):
        assert cli.run(["run", circuit, "--url", url]) == 0
    assert [method for method, _, _ in seen] == ["POST", "GET", "GET", "GET"]
    assert "100.0%" in capsys.readouterr().out


def test_parameters_are_sent_as_an_object_or_a_list(circuit, tmp_path):
    """`--param` repeated is one point, `--sweep` names a file of many."""
    sweep = tmp_path / "sweep.json"
    sweep.write_text('[{"a": 1}, {"a": 2.5}]')
    accepted = msgspec.json.encode(Accepted(task_id="t-1"))
    with answering((202, accepted)) as (url, seen):
        assert (
            cli.run(["submit", circuit, "--param", "a=1", "--param", "b=-2e3", "--url", url]) == 0
        )
        assert cli.run(["submit", circuit, "--sweep", str(sweep), "--url", url]) == 0
    sent = [json.loads(body)["parameters"] for _, _, body in seen]
    assert sent == [{"a": 1.0, "b": -2000.0}, [{"a": 1}, {"a": 2.5}]]


def test_precision_and_method_options_are_sent(circuit):
    """Values as JSON, or words as they stand."""
    with answering(ACCEPTED) as (url, seen):
        argv = [
            "submit",
            circuit,
            "--precision",
            "single",
            "--fallback",
            "matrix_product_state",
            "--option",
            "fusion_enable=false",
        ]
        argv += ["--option", "mps_sample_measure_algorithm=mps_probabilities", "--url", url]
        assert cli.run(argv) == 0
    sent = json.loads(seen[0][2])
    assert sent["precision"] == "single"
    assert sent["fallback"] == "matrix_product_state"
    assert sent["method_options"] == {
        "fusion_enable": False,
        "mps_sample_measure_algorithm": "mps_probabilities",
    }


def test_noise_and_observables_are_sent(circuit, tmp_path):
    """A noise model comes from a file, an observable from the command line."""
    noise = tmp_path / "noise.json"
    noise.write_text('{"readout": {"p01": 0.5}}')
    with answering(ACCEPTED) as (url, seen):
        argv = ["submit", circuit, "--noise", str(noise), "--observable", "Z", "--url", url]
        assert cli.run([*argv, "--observable", "X=0.5,Y=-1"]) == 0
    sent = json.loads(seen[0][2])
    assert sent["noise_model"] == {"readout": {"p01": 0.5}}
    assert sent["observables"] == [{"Z": 1.0}, {"X": 0.5, "Y": -1.0}]


@pytest.mark.parametrize(
    "option",
    [
        "--param a",
        "--param a=x",
        "--param a=nan",
        "--param a=-inf",
        "--observable Z=x",
        "--observable Z=1,X=inf",
        "--sweep /none",
        "--noise /none",
        "--option fusion_enable",
    ],
)
def test_parameters_that_cannot_be_read_are_bad_use(option, circuit, nobody, capsys):
    """And named."""
    with pytest.raises(SystemExit) as caught:
        cli.run(["run", circuit, *option.split(), "--url", nobody])
    assert caught.value.code == 2
    assert option.split()[1] in capsys.readouterr().err


@pytest.mark.parametrize("is_first", [True, False])
def test_one_point_and_a_sweep_exclude_each_other(is_first, circuit, nobody, tmp_path, capsys):
    """Rather than that one of them is passed over."""
    sweep = tmp_path / "sweep.json"
    sweep.write_text('[{"a": 1}]')
    options = [("--param", "a=1"), ("--sweep", str(sweep))]
    first, second = options if is_first else reversed(options)
    with pytest.raises(SystemExit) as caught:
        cli.run(["run", circuit, *first, *second, "--url", nobody])
    assert caught.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_options_are_sent_and_nothing_else(circuit):
    """Only what was given stands in the body."""
    argv = ["submit", circuit, "--shots", "5", "--seed", "0", "--tag", "a", "--tag", "b"]
    with answering(ACCEPTED) as (url, seen):
        assert cli.run([*argv, "--memory", "--method", "stabilizer", "--url", url]) == 0
    assert json.loads(seen[0][2]) == {
        "qc": QASM,
        "shots": 5,
        "seed": 0,
        "tags": ["a", "b"],
        "memory": True,
        "method": "stabilizer",
    }


def test_submit_prints_the_task_id_alone(circuit, capsys):
    """For `id=$(qjet submit …)`."""
    with answering(ACCEPTED) as (url, _):
        cli.run(["submit", circuit, "--url", url])
    assert capsys.readouterr().out == "t-1\n"


def test_several_files_are_one_batch(circuit, capsys):
    """Each with the options given, one id a line."""
    accepted = BatchAccepted(batch_id="b-x2", task_ids=("b-000", "b-001"))
    with answering((202, msgspec.json.encode(accepted))) as (url, seen):
        assert cli.run(["submit", circuit, circuit, "--shots", "5", "--url", url]) == 0
    assert capsys.readouterr().out == "b-000\nb-001\n"
    assert seen[0][:2] == ("POST", "/batches")
    assert json.loads(seen[0][2]) == {"tasks": [{"qc": QASM, "shots": 5}] * 2}


def test_a_dash_reads_standard_input(monkeypatch):
    """As many commands do."""
    monkeypatch.setattr("sys.stdin", io.StringIO(QASM))
    with answering(ACCEPTED) as (url, seen):
        assert cli.run(["submit", "-", "--url", url]) == 0
    assert json.loads(seen[0][2]) == {"qc": QASM}


@pytest.mark.parametrize("number", [str(2**64), "-" + str(2**70)])
@pytest.mark.parametrize("option", ["--shots", "--seed"])
def test_a_number_beyond_64_bits_is_bad_use(option, number, circuit, nobody):
    """Before or after asking the server, but never a traceback."""
    assert cli.run(["submit", circuit, f"{option}={number}", "--url", nobody]) in {2, 3}


def test_a_task_id_is_one_part_of_the_path():
    """`qjet status ../health` does not ask for something else."""
    with answering(task()) as (url, seen):
        cli.run(["status", "../health", "--url", url])
    assert all(path.startswith("/tasks/") for _, path, _ in seen)


def test_a_result_not_yet_there_is_no_failed_task(capsys):
    """`qjet result --wait 0` of a running task shows where it is; 1 would mean it failed."""
    with answering(task("running")) as (url, _):
        assert cli.run(["result", "t-1", "--wait", "0", "--url", url]) != 1
    assert "running" in capsys.readouterr().out


def test_the_address_may_come_from_the_environment(monkeypatch, capsys):
    """`QJET_URL` goes before the default."""
    with answering(task()) as (url, _):
        monkeypatch.setenv("QJET_URL", url)
        assert cli.run(["status", "t-1"]) == 0
    assert "completed" in capsys.readouterr().out


def test_run_circuit_prints_to_the_console_it_is_given(circuit):
    """`qjet up --try` shares it."""
    arguments = cli.parser().parse_args(["run", circuit])
    console = Console(file=io.StringIO(), width=80)
    answers = (ACCEPTED, task(result={"0": 3, "1": 1}, method="stabilizer"))
    with answering(*answers) as (url, _), cli.Client(url) as client:
        assert cli.run_circuit(client, arguments, console) == 0
    assert "75.0%" in console.file.getvalue()
