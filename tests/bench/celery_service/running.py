"""Starts and ends the service: Redis, two solo workers, an API; each ends with this process."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from qjet_shared import lifeline

WORKERS = 2
READY_S = 60.0
_MODULES = "tests.bench.celery_service"


def lacks() -> str:
    """Say what is missing to run it; empty where nothing is."""
    if missing := [
        name for name in ("celery", "redis", "fastapi", "uvicorn") if not find_spec(name)
    ]:
        return f"{', '.join(missing)} not installed (pip install -e '.[bench-celery]')"
    return "" if shutil.which("redis-server") else "no redis-server (apt-get install redis-server)"


@contextmanager
def celery_service() -> Iterator[str]:
    """Run the service for as long as the block, and give its address."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="qjet-bench-")))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        path = folder / "redis.sock"
        environ = {**os.environ, "BENCH_REDIS_URL": f"redis+socket://{path}"}
        redis = ("redis-server", "--port", "0", "--unixsocket", str(path), "--save", "")
        stack.enter_context(_process(folder / "redis.log", environ, *redis, "--dir", str(folder)))
        _wait(path.exists, "redis-server", folder)
        for number in range(WORKERS):
            worker = (
                "-A",
                f"{_MODULES}.work",
                "worker",
                "--pool",
                "solo",
                "-n",
                f"w{number}@bench",
            )
            worker += ("--without-gossip", "--without-mingle", "--loglevel", "WARNING")
            log = folder / f"worker-{number}.log"
            stack.enter_context(_process(log, environ, sys.executable, "-m", "celery", *worker))
        api = ("-m", f"{_MODULES}.api", str(listener.fileno()))
        log = folder / "api.log"
        stack.enter_context(_process(log, environ, sys.executable, *api, keep=listener.fileno()))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        _wait(lambda: _answers(f"{url}/openapi.json"), "the API", folder)
        yield url


@contextmanager
def _process(
    log: Path, environ: dict[str, str], *command: str, keep: int | None = None
) -> Iterator[None]:
    """Run a command for as long as the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            lifeline.command(*command),
            env=environ,
            stdout=output,
            stderr=output,
            pass_fds=[] if keep is None else [keep],
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(is_there: Callable[[], bool], what: str, folder: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not is_there():
        if time.monotonic() > deadline:
            said = "\n".join(log.read_text() for log in sorted(folder.glob("*.log")))
            raise RuntimeError(f"{what} did not start:\n{said}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:  # not yet listening, or too busy starting to answer
        return False
