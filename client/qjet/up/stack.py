"""The stack as a whole: what is started with which settings, in which order."""

import argparse
import asyncio
import fcntl
import os
import re
import shlex
import signal
import socket
import sys
import time
from pathlib import Path
from typing import IO, Final

import httpx
from rich.console import Console

from qjet.arguments import add_circuit_arguments
from qjet.cli import FINE, UsageError, run_circuit
from qjet.client import Client
from qjet.up import nats_server
from qjet.up.process import Program, Supervised
from qjet.up.ready import NotReadyError, until_healthy
from qjet.up.watch import BrokerWatch

_BROKER_TIMEOUT_S: Final = 60.0
_LOCK_TIMEOUT_S: Final = 3.0
_POLL_S: Final = 0.05


def run_stack(arguments: argparse.Namespace) -> int:
    """Run everything until a signal; return the exit code."""
    tries = [_circuit_arguments(text) for text in arguments.tries]
    data_dir = (arguments.data_dir or default_data_dir()).expanduser().absolute()
    try:
        (data_dir / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"cannot use {data_dir} as data directory: {exc.strerror}") from exc
    with (
        _lock(data_dir) as lock,
        _listen(arguments.host, arguments.http_port, "--http-port") as web,
    ):
        stack = Stack(arguments, data_dir=data_dir, web=web, lock=lock)
        try:
            return asyncio.run(stack.run(tries))
        except OSError as exc:  # a full disk, say
            raise UsageError(f"cannot go on in {data_dir}: {exc}") from exc


def default_data_dir() -> Path:
    """Return where tasks live by default. Source: XDG Base Directory Specification."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "qjet"


class Stack:
    """The broker, resultstore, executors and gateway of one `qjet up`."""

    def __init__(
        self, arguments: argparse.Namespace, *, data_dir: Path, web: socket.socket, lock: IO[str]
    ) -> None:
        self._arguments = arguments
        self._data_dir = data_dir
        self._web = web
        self._lock = lock
        self._console = Console(soft_wrap=True)
        self._processes: list[Supervised] = []
        self._metrics: dict[str, socket.socket] = {}
        self._stop = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._store_dir: dict[str, str] = {}
        self._trouble = ""

    async def run(self, tries: list[argparse.Namespace]) -> int:
        """Start, report, serve, stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        serving = asyncio.create_task(self._serve(tries), name="up.serve")
        stopping = asyncio.create_task(self._stop.wait(), name="up.stop")
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        try:
            if self._trouble:
                raise UsageError(self._trouble)
            return serving.result() if serving.done() else FINE
        finally:
            serving.cancel()
            await self._end()

    @property
    def _web_url(self) -> str:
        return f"http://{_shown(self._arguments.host)}:{self._web.getsockname()[1]}"

    def _on_signal(self) -> None:
        """Stop in order; asked a second time, stop at once."""
        if self._stop.is_set():
            for process in self._processes:
                process.kill()
        else:
            self._say("\nqjet: stopping; circuits in hand may finish, Ctrl-C again stops at once")
        self._stop.set()

    def _fail(self, why: str) -> None:
        self._trouble = why
        self._stop.set()

    async def _serve(self, tries: list[argparse.Namespace]) -> int:
        nats_url = os.environ.get("QJET_NATS_URL") or await self._start_broker()
        await self._start(self._service("resultstore", nats_url))
        for number in range(1, self._arguments.executors + 1):
            await self._start(self._service("executor", nats_url, number))
        await self._start(self._service("gateway", nats_url))
        await self._until_ready()
        self._say(f"qjet ready http={self._web_url} nats={_without_password(nats_url)}")
        self._say(f"  try it   {self._web_url}/docs", style="dim")
        for name, listener in self._metrics.items():
            where = f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
            self._say(f"  metrics  {where}  {name}", style="dim")
        self._say(f"  data     {self._data_dir} (logs in {self._data_dir / 'logs'})", style="dim")
        code = FINE
        for attempt in tries:
            code = max(code, await asyncio.to_thread(self._try, attempt))
        if self._arguments.once:
            return code
        await asyncio.Event().wait()
        return code

    async def _start_broker(self) -> str:
        """Start nats-server, learn its ports, and keep to them when it is started again."""
        try:
            server = nats_server.find_server()
        except nats_server.NoServerError as exc:
            raise UsageError(str(exc)) from exc
        host, port = self._arguments.host, self._arguments.nats_port
        if port:
            _listen(host, port, "--nats-port").close()
        config = nats_server.write_config(
            self._data_dir, host=host, port=port or -1, monitor_port=-1
        )
        broker = await self._start(
            Program(
                name="nats-server",
                argv=(str(server), "-c", str(config)),
                environ=os.environ,
                log_file=self._data_dir / "logs" / "nats-server.out",
                inherit=(self._lock.fileno(),),
            )
        )
        ports = await self._broker_ports()
        nats_server.write_config(
            self._data_dir, host=host, port=ports.client, monitor_port=ports.monitor
        )
        watch = BrokerWatch(
            monitor_url=f"http://127.0.0.1:{ports.monitor}",
            data_dir=self._data_dir,
            restart=broker.restart,
            report=self._report,
        )
        self._watching = asyncio.create_task(watch.run(), name="up.watch")
        self._store_dir = {"QJET_STORE_DIR": str(self._data_dir)}
        return f"nats://{_shown(host)}:{ports.client}"

    async def _broker_ports(self) -> nats_server.Ports:
        deadline = time.monotonic() + _BROKER_TIMEOUT_S
        async with httpx.AsyncClient() as http:
            while time.monotonic() < deadline:
                if ports := nats_server.read_ports(self._data_dir):
                    url = f"http://127.0.0.1:{ports.monitor}/healthz?js-enabled-only=true"
                    if await _answers(http, url):
                        return ports
                await asyncio.sleep(_POLL_S)
        raise UsageError(f"nats-server did not start; see {self._data_dir / 'logs'}")

    def _service(self, service: str, nats_url: str, number: int = 0) -> Program:
        """Describe a service; it inherits its listening socket, so its port outlives it."""
        name = f"{service}-{number}" if number else service
        listener = self._web
        if service != "gateway":
            listener = self._metrics[name] = _listen("127.0.0.1", 0, "")
        environ = {
            **self._store_dir,
            **os.environ,
            "QJET_NATS_URL": nats_url,
            "QJET_LISTEN_FD": str(listener.fileno()),
        }
        return Program(
            name=name,
            argv=(sys.executable, "-m", f"qjet_{service}"),
            environ=environ,
            log_file=self._data_dir / "logs" / f"{name}.log",
            inherit=(listener.fileno(),),
        )

    async def _start(self, program: Program) -> Supervised:
        process = Supervised(program, self._report, self._fail)
        self._processes.append(process)
        await process.start()
        return process

    async def _until_ready(self) -> None:
        """Wait until the gateway finds every part healthy: then a task can run."""
        try:
            await until_healthy(f"{self._web_url}/health", self._report)
        except NotReadyError as exc:
            raise UsageError(f"{exc} See {self._data_dir / 'logs'}.") from exc

    def _try(self, arguments: argparse.Namespace) -> int:
        self._say(f"\n$ qjet run {arguments.text}", style="bold")
        with Client(self._web_url) as client:
            return run_circuit(client, arguments, self._console)

    async def _end(self) -> None:
        """Stop what takes work in first, and the broker last."""
        if self._watching:
            self._watching.cancel()
        self._web.close()  # nobody new; the gateway has its own copy for those it has
        for rank in sorted({_stop_rank(p.program.name) for p in self._processes}):
            group = [p for p in self._processes if _stop_rank(p.program.name) == rank]
            await asyncio.gather(*(process.stop() for process in group))

    def _report(self, text: str) -> None:
        if not self._stop.is_set():
            self._say(f"qjet: {text}", style="yellow")

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, highlight=False)
        sys.stdout.flush()


def _stop_rank(name: str) -> int:
    return ("gateway", "executor", "resultstore", "nats-server").index(
        name.rstrip("0123456789").rstrip("-") if name != "nats-server" else name
    )


def _circuit_arguments(text: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="qjet up --try", add_help=False)
    add_circuit_arguments(parser)
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise UsageError(f"--try {text!r}: {exc}") from exc
    return parser.parse_args(words, argparse.Namespace(text=text))


def _lock(data_dir: Path) -> IO[str]:
    """Hold the data directory. The broker inherits the lock, so it ends with the last of us."""
    lock = (data_dir / "lock").open("w")
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            if time.monotonic() > deadline:
                lock.close()
                raise UsageError(
                    f"the data directory {data_dir} is in use by another `qjet up`; "
                    "stop that one, or give another --data-dir"
                ) from exc
            time.sleep(_POLL_S)
        else:
            return lock


def _listen(host: str, port: int, option: str) -> socket.socket:
    """Open a listening socket, or say which port is taken and what to do about it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as exc:
        listener.close()
        reason = getattr(exc, "strerror", None) or exc
        raise UsageError(
            f"cannot listen on {host}:{port} ({reason}); {option} 0 takes a free port"
        ) from exc
    listener.listen(1024)
    return listener


async def _answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url, timeout=2)).is_success
    except httpx.TransportError:
        return False


def _shown(host: str) -> str:
    """Return an address that a client on this machine can use."""
    local = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # names it, does not bind it
    return local.get(host, f"[{host}]" if ":" in host else host)


def _without_password(urls: str) -> str:
    """Return the broker's address or addresses without user and password."""
    return ",".join(re.sub(r"^((?:\w+://)?).*@", r"\1", url.strip()) for url in urls.split(","))
