"""The Compose stack under test: a project of its own, so that no other one is touched."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

REPOSITORY = Path(__file__).parents[2]
EXECUTORS = 3
EXECUTOR_PORT = 9101
BUILD_TIMEOUT_S = 1800.0
CALL_TIMEOUT_S = 300.0


class ComposeStack:
    """One Compose project with three executors, and the few ways the tests look at it."""

    executors = EXECUTORS

    def __init__(self, *more_files: Path) -> None:
        """Take files that override parts of docker-compose.yml."""
        self._project = f"qjet-test-{secrets.token_hex(4)}"
        # Port 0: the engine takes a free one.
        ports = {"QJET_HTTP_PORT": "0", "QJET_PROMETHEUS_PORT": "0"}
        others = {k: v for k, v in os.environ.items() if not k.startswith("QJET_")}
        files = ":".join(["docker-compose.yml", *map(str, more_files)])
        self._environ = {**others, **ports, "COMPOSE_FILE": files}

    def compose(self, *arguments: str, timeout_s: float = CALL_TIMEOUT_S) -> str:
        """Run `docker compose …` on this project and return what it printed."""
        return self.docker("compose", "-p", self._project, *arguments, timeout_s=timeout_s)

    def docker(self, *arguments: str, timeout_s: float = CALL_TIMEOUT_S) -> str:
        """Run `docker …` and return what it printed, or fail showing what it complained of."""
        done = subprocess.run(
            ["docker", *arguments],
            cwd=REPOSITORY,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Bring it up, and remove it at the end."""
        try:
            self.up()
            yield self
        finally:
            self.remove()

    def up(self) -> None:
        """Bring everything up with its executors; returns once all of it is healthy."""
        scale = f"executor={self.executors}"
        arguments = ("up", "-d", "--build", "--wait", "--scale", scale)
        self.compose(*arguments, timeout_s=BUILD_TIMEOUT_S)

    def remove(self) -> None:
        """Remove all of it: containers, network, volumes, images."""
        self.compose("--profile", "*", "down", "-v", "--rmi", "local", "--remove-orphans")

    def containers(self, *services: str) -> list[str]:
        """Return the ids of the containers, stopped ones too, of these services or of all."""
        return self.compose("ps", "-a", "-q", *services).split()

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what the engine knows of a container."""
        return json.loads(self.docker("inspect", container))[0]

    def python(self, service: str, code: str, *, index: int = 1) -> str:
        """Run Python inside a running container and return what it printed."""
        place = ("exec", "-T", "--index", str(index), service)
        return self.compose(*place, "python", "-c", code).strip()

    def network(self) -> str:
        """Return the network that all containers are on."""
        return f"{self._project}_default"

    def kill_main_process(self, container: str) -> None:
        """Send SIGKILL from outside, as the kernel would when memory runs out.

        `docker kill` would count as a wish and bring no restart; inside, process 1 is immune. The
        engine's machine may not be this one, so the signal goes by way of a container there.
        """
        state = self.inspect(container)
        there = ("--rm", "--privileged", "--user", "0", "--pid", "host", "--entrypoint", "sh")
        self.docker("run", *there, state["Image"], "-c", f"kill -KILL {state['State']['Pid']}")

    def address(self, service: str, port: int) -> str:
        """Return where a service's published port is on this machine."""
        return f"http://{self.compose('port', service, str(port)).strip()}"

    def http(self) -> httpx.Client:
        """Return a client of the gateway."""
        return httpx.Client(base_url=self.address("gateway", 8000), timeout=90)

    def tasks_by_executor(self, metric: str, **labels: str) -> list[int]:
        """Return a metric of each executor, read from its own /metrics inside the network."""
        code = (
            "import urllib.request as r; "
            f"print(r.urlopen('http://127.0.0.1:{EXECUTOR_PORT}/metrics').read().decode())"
        )
        texts = [self.python("executor", code, index=n + 1) for n in range(EXECUTORS)]
        return [_sample(text, metric, labels) for text in texts]


def _sample(metrics_text: str, name: str, labels: dict[str, str]) -> int:
    """Return one sample of Prometheus text; a counter that has not counted yet is missing."""
    for family in text_string_to_metric_families(metrics_text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return int(sample.value)
    return 0


def _trouble_with_docker() -> str:
    if shutil.which("docker") is None:
        return "there is no docker on PATH"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return f"`{' '.join(command)}` fails"
    return ""


@pytest.fixture(scope="session")
def engine() -> None:
    """A container engine."""
    if trouble := _trouble_with_docker():
        is_required = "docker" in os.environ.get("QJET_REQUIRE", "").split(",")
        (pytest.fail if is_required else pytest.skip)(f"no containers: {trouble}")


@pytest.fixture(scope="session")
def stack(engine: None) -> Iterator[ComposeStack]:
    with ComposeStack().running() as stack:
        yield stack


@pytest.fixture
def http(stack: ComposeStack) -> Iterator[httpx.Client]:
    with stack.http() as client:
        yield client
