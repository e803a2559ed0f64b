"""A nats-server whose system calls are recorded, and what they tell of one message."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qjet.up import nats_server

START_S = 20.0
_CALLS = "openat,write,pwrite64,writev,fsync,fdatasync"
_PID = re.compile(r"^(\d+) ")


@dataclass(frozen=True)
class TracedServer:
    """A running nats-server under strace."""

    data_dir: Path
    url: str


@contextmanager
def traced_server(strace: str, config: Path, data_dir: Path) -> Iterator[TracedServer]:
    """Run a server with `config` for as long as the block; its calls go to `data_dir`/trace."""
    command = [strace, "-f", "-y", "-qq", "-s", "65536", "-e", f"trace={_CALLS}"]
    command += ["-o", str(data_dir / "trace"), str(nats_server.find_server()), "-c", str(config)]
    tracer = subprocess.Popen(command)
    try:
        ports = _wait_ports(data_dir)
        yield TracedServer(data_dir, f"nats://127.0.0.1:{ports.client}")
    finally:
        for path in (data_dir / "run").glob("*.ports"):  # the tracer ends with the traced
            os.kill(int(path.stem.rsplit("_", 1)[1]), signal.SIGTERM)
        tracer.wait(30)


def is_synced_before_ack(trace: str, *, stream: str, text: str, sequence: int = 1) -> bool:
    """Whether a stream's message, which holds `text`, is on disk before its PubAck is sent.

    That is: after it is written to a file of the stream, a sync of that file is begun and done, or
    the file was opened for synchronous writing.
    """
    lines = trace.splitlines()
    written = _first(lines, text, f"/{stream}/msgs/", "write")
    acked = _first(lines, rf"{{\"stream\":\"{stream}\",\"seq\":{sequence}")
    assert written < acked, "the acknowledgement came before the message"
    file = re.search(r"write\w*\(\d+<([^>]+)>", lines[written])[1]
    opened = lines[_first(lines, f'"{file}"', "openat(")]
    return "SYNC" in opened or _is_synced(lines[written + 1 : acked], file)


def _first(lines: list[str], *parts: str) -> int:
    return next(n for n, line in enumerate(lines) if all(part in line for part in parts))


def _is_synced(lines: list[str], file: str) -> bool:
    """Whether a sync of `file` begins and succeeds in these lines, other threads in between."""
    begun = set()
    for line in lines:
        thread = _PID.match(line)[1]
        if re.search(rf"f(data)?sync\(\d+<{re.escape(file)}>", line):
            begun.add(thread)
        if "sync" in line and line.endswith("= 0") and thread in begun:
            return True
    return False


def _wait_ports(data_dir: Path) -> nats_server.Ports:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if ports := nats_server.read_ports(data_dir):
            return ports
        time.sleep(0.02)
    raise AssertionError("nats-server did not start under strace")
