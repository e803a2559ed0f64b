"""One service as a real process, on a free port."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_S = 60.0


@dataclass
class Service:
    """A running `python -m qjet_…` and where it listens."""

    process: subprocess.Popen[bytes]
    url: str
    log_file: Path

    def get(self, path: str) -> bytes:
        """Return the body at `path`, whatever the status."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as response:
                return response.read()
        except urllib.error.HTTPError as exc:
            return exc.read()

    def log_lines(self) -> list[dict[str, object]]:
        """Return what it logged; each line has to be JSON."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def wait_ready(self) -> None:
        """Wait until its readiness probe says yes."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"not ready:\n{self.log_file.read_text()}")


@contextmanager
def service(
    name: str, nats_url: str, folder: Path, *, ready: bool = True, **settings: object
) -> Iterator[Service]:
    """Run `python -m qjet_{name}`; `settings` become QJET_* variables."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    log_file = folder / f"{name}-{listener.fileno()}.log"
    environ = {f"QJET_{key.upper()}": str(value) for key, value in settings.items()}
    with log_file.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"qjet_{name}"],
            env={
                **os.environ,
                "QJET_NATS_URL": nats_url,
                "QJET_LISTEN_FD": str(listener.fileno()),
                **environ,
            },
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=output,
        )
    listener.close()
    running = Service(process, url, log_file)
    try:
        if ready:
            running.wait_ready()
        yield running
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
