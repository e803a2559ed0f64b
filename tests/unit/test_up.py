"""`qjet up`'s pure pieces, and its broker's configuration as the real server reads it."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from argparse import Namespace

import pytest

from qjet.cli import UsageError
from qjet.up import nats_server, stack
from qjet.up.process import Program, Supervised
from qjet.up.watch import stuck

pytestmark = pytest.mark.unit


def script(folder, text, name="nats-server"):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_server_is_found_and_is_new_enough():
    """The machine's own, or the wheel's."""
    found = nats_server.find_server()
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = re.search(r"v(\d+)\.(\d+)", said).groups()
    assert (int(major), int(minor)) >= nats_server.OLDEST


@pytest.mark.parametrize(
    "text",
    ["echo nats-server: v2.9.25", "echo nats-server: v1.4.1", "echo hello", "exit 1", "kill $$"],
)
def test_a_server_on_path_that_is_too_old_or_broken_is_passed_over(tmp_path, monkeypatch, text):
    """The wheel's is taken instead."""
    old = script(tmp_path / "bin", text)
    monkeypatch.setenv("PATH", f"{old.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert nats_server.find_server() != old


@pytest.mark.parametrize("version", ["v2.11.0", "v2.15.1", "v3.0.0", "v2.12.0-RC.1"])
def test_a_server_on_path_that_is_new_enough_goes_first(tmp_path, monkeypatch, version):
    """Operators keep their own."""
    new = script(tmp_path / "bin", f"echo nats-server: {version}")
    monkeypatch.setenv("PATH", str(new.parent))
    assert nats_server.find_server() == new


def test_without_any_server_the_error_says_what_was_looked_at(tmp_path, monkeypatch):
    """And what to do about it."""
    old = script(tmp_path / "bin", "echo nats-server: v2.9.25")
    monkeypatch.setenv("PATH", str(old.parent))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "none"))
    with pytest.raises(nats_server.NoServerError) as caught:
        nats_server.find_server()
    for part in (str(old), "too old", "2.11", "QJET_NATS_URL", "none in"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("host", "folder"),
    [
        ("127.0.0.1", "data"),
        ("0.0.0.0", "data"),  # noqa: S104
        ("localhost", "data"),
        ("::1", "data"),
        ("::", "data"),
        ("127.0.0.1", "with space"),
        ("127.0.0.1", 'quo"te'),
        ("127.0.0.1", "back\\slash"),
        ("127.0.0.1", "ünï"),
        ("127.0.0.1", "$HOME {x} # y"),
    ],
)
def test_the_real_server_accepts_the_configuration(tmp_path, host, folder):
    """Any address to listen on, any folder; `nats-server -t` reads it and says it is fine."""
    data_dir = tmp_path / folder
    data_dir.mkdir()
    path = nats_server.write_config(data_dir, host=host, port=4222, monitor_port=-1)
    server = nats_server.find_server()
    done = subprocess.run([server, "-t", "-c", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sync_interval: always" in path.read_text()


def test_ports_of_an_earlier_server_are_forgotten(tmp_path):
    """Otherwise the stack would connect to a server that is gone."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "nats-server_1.ports").write_text("{}")
    nats_server.write_config(tmp_path, host="127.0.0.1", port=-1, monitor_port=-1)
    assert nats_server.read_ports(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"nats": ["nats://127.0.0.1:4222"], "monitoring": ["http://127.0.0.1:8222"]}',
            nats_server.Ports(client=4222, monitor=8222),
        ),
        (
            '{"nats": ["nats://[::1]:4222"], "monitoring": ["http://[::1]:8222"]}',
            nats_server.Ports(client=4222, monitor=8222),
        ),
        ('{"nats": ["nats://127.0', None),
        ("", None),
    ],
)
def test_the_servers_ports_are_read_once_written_in_full(tmp_path, text, expected):
    """A half-written file is none yet."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "x.ports").write_text(text)
    assert nats_server.read_ports(tmp_path) == expected


WRITE_ERROR = (
    '{"status":"unavailable","error":"JetStream stream \'$G \\u003e QJET_TASKS\' write error: '
    'write /data/1.blk: no space left on device"}'
)
DISABLED = '{"status":"unavailable","error":"JetStream not enabled (10076)"}'


@pytest.mark.parametrize(
    ("answer", "was_fine", "expected"),
    [
        ('{"status":"ok"}', True, None),
        (WRITE_ERROR, True, "write /data/1.blk: no space left on device"),
        (WRITE_ERROR, False, "write /data/1.blk: no space left on device"),
        (DISABLED, True, "JetStream not enabled (10076)"),
        (DISABLED, False, None),
        ('{"error":"JetStream stream \'x\' could not be recovered"}', True, None),
        ("[]", True, None),
        ("", True, None),
    ],
)
def test_a_broker_is_stuck_when_only_a_restart_helps(answer, was_fine, expected):
    """After a failed write, or once JetStream is off that was on; not while it starts."""
    assert stuck(answer, was_fine=was_fine) == expected


@pytest.mark.parametrize(
    "names",
    [
        ["gateway", "executor-1", "resultstore", "nats-server"],
        ["gateway", "executor-12", "resultstore", "nats-server"],
    ],
)
def test_what_takes_work_in_stops_first_and_the_broker_last(names):
    """Gateway, executors, resultstore, broker."""
    ranks = [stack._stop_rank(name) for name in names]
    assert ranks == sorted(set(ranks))


def test_all_executors_stop_together():
    """One rank for all of them."""
    assert stack._stop_rank("executor-1") == stack._stop_rank("executor-99")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("nats://user:secret@host:4222", "nats://host:4222"),
        ("tls://secret@host:4222", "tls://host:4222"),
        ("nats://user:sec@ret@host:4222", "nats://host:4222"),
        ("user:secret@host:4222", "host:4222"),
        ("nats://u:secret@a:1,nats://u:secret@b:2", "nats://a:1,nats://b:2"),
        ("nats://a:1,nats://u:secret@b:2", "nats://a:1,nats://b:2"),
    ],
)
def test_no_password_is_shown_and_every_server_is(url, expected):
    """The ready line may be logged anywhere."""
    assert stack._without_password(url) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("fe80::1", "[fe80::1]"),
        ("example.org", "example.org"),
    ],
)
def test_an_address_is_shown_so_that_a_client_can_use_it(host, expected):
    """What to listen on is not always what to connect to."""
    assert stack._shown(host) == expected


def test_a_try_is_read_like_the_arguments_of_run():
    """Quotes as in a shell; the text is kept for showing."""
    read = stack._circuit_arguments("'my file.qasm' --shots 5 --seed 1")
    assert (read.file, read.shots, read.seed) == ("my file.qasm", 5, 1)
    assert read.text == "'my file.qasm' --shots 5 --seed 1"


@pytest.mark.parametrize("text", ["", "x --shots many", "x y"])
def test_a_try_that_does_not_parse_is_bad_use(text):
    """Said before anything is started."""
    with pytest.raises(SystemExit) as caught:
        stack._circuit_arguments(text)
    assert caught.value.code == 2


def test_a_try_with_an_open_quote_is_bad_use():
    """The same, also where the shell's own reading fails."""
    with pytest.raises((SystemExit, UsageError)):
        stack._circuit_arguments("'open")


def test_a_taken_port_says_which_option_takes_a_free_one():
    """Instead of a traceback."""
    with stack._listen("127.0.0.1", 0, "--http-port") as first:
        port = first.getsockname()[1]
        with pytest.raises(UsageError) as caught:
            stack._listen("127.0.0.1", port, "--http-port")
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "--http-port 0" in str(caught.value)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no.such.host.invalid", 0)])
def test_a_port_or_host_that_cannot_be_is_bad_use(host, port):
    """Also named."""
    with pytest.raises(UsageError):
        stack._listen(host, port, "--http-port")


def test_a_data_directory_is_held_by_one_stack_at_a_time(tmp_path, monkeypatch):
    """A second one is told which directory it is."""
    monkeypatch.setattr(stack, "_LOCK_TIMEOUT_S", 0.05)
    with stack._lock(tmp_path), pytest.raises(UsageError, match=re.escape(str(tmp_path))):
        stack._lock(tmp_path)
    stack._lock(tmp_path).close()


def test_the_default_data_directory_follows_the_xdg_specification(monkeypatch, tmp_path):
    """`XDG_DATA_HOME`, else `~/.local/share`; an empty variable counts as unset."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert stack.default_data_dir() == tmp_path / "qjet"
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert stack.default_data_dir() == tmp_path / ".local" / "share" / "qjet"


def test_a_data_directory_that_cannot_be_made_is_bad_use(tmp_path):
    """A file stands in its place."""
    (tmp_path / "file").write_text("")
    arguments = Namespace(
        tries=[], data_dir=tmp_path / "file" / "data", host="127.0.0.1", http_port=0
    )
    with pytest.raises(UsageError):
        stack.run_stack(arguments)


def program(tmp_path, code, **rest):
    return Program(
        name="it",
        argv=(sys.executable, "-c", code),
        environ=os.environ,
        log_file=tmp_path / "log",
        **rest,
    )


async def test_a_process_that_dies_is_brought_back_and_said_so(tmp_path):
    """With how it ended."""
    said = []
    process = Supervised(program(tmp_path, "import time; time.sleep(60)"), said.append)
    await process.start()
    first = process._process.pid
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(20):
        while process._process.pid == first:
            await asyncio.sleep(0.01)
    await process.stop()
    assert "killed by signal 9" in said[0]
    assert process._process.returncode == -signal.SIGTERM


async def test_a_process_that_ignores_its_end_is_killed_and_said_so(tmp_path):
    """After its grace period."""
    said = []
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN);"
        "print(1, flush=True); time.sleep(60)"
    )
    process = Supervised(program(tmp_path, code, grace_s=0.2), said.append)
    await process.start()
    async with asyncio.timeout(20):
        while not (tmp_path / "log").read_text():
            await asyncio.sleep(0.01)
    await process.stop()
    assert process._process.returncode == -signal.SIGKILL
    assert said == ["it did not stop in time and is killed"]
