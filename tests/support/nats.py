"""A fresh, real nats-server per test."""

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qjet.up.nats_server import find_server

START_S = 10.0


@dataclass
class NatsServer:
    """A nats-server with JetStream on a port of its own, which it keeps when started again."""

    folder: Path
    jetstream: str = "sync_interval: always"
    process: subprocess.Popen[bytes] | None = None
    port: int = -1

    @property
    def extra(self) -> str:
        """What else its configuration says."""
        return ""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it on its data and wait until it listens."""
        for stale in self.folder.glob("*.ports"):
            stale.unlink()
        config = self.folder / "server.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nports_file_dir: "{self.folder}"\n'
            f'log_file: "{self.folder}/log"\n'
            f'jetstream {{ store_dir: "{self.folder}/js", {self.jetstream} }}\n{self.extra}'
        )
        self.process = subprocess.Popen([str(find_server()), "-c", str(config)])
        self.port = self._wait_port()

    def kill(self) -> None:
        """End it without warning."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        """Stop it as a hung machine would: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it stopped."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _wait_port(self) -> int:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for path in self.folder.glob("*.ports"):
                try:
                    return int(json.loads(path.read_text())["nats"][0].rsplit(":", 1)[1])
                except json.JSONDecodeError:
                    continue
            time.sleep(0.005)
        raise AssertionError(f"nats-server did not start: {(self.folder / 'log').read_text()}")


@contextmanager
def nats_server(**settings: str) -> Iterator[NatsServer]:
    """Run a server for as long as the block; `settings` are those of `NatsServer`."""
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder), **settings)
        server.start()
        try:
            yield server
        finally:
            server.kill()
