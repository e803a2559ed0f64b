"""The `qjet` command. Exit codes: 0 fine, 1 the task failed, 2 bad use, 3 no server."""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import msgspec
import stamina.instrumentation
from rich.console import Console

from qjet.arguments import add_circuit_arguments, options_of
from qjet.client import DEFAULT_URL, Client, RequestError, UnreachableError
from qjet.render import show_task
from qjet_shared import __version__
from qjet_shared.messages.task import Task

FINE: Final = 0
TASK_FAILED: Final = 1
BAD_USE: Final = 2
NO_SERVER: Final = 3


class UsageError(Exception):
    """The command cannot be carried out as given; the text says why."""


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """Carry out one command and return its exit code."""
    arguments = parser().parse_args(argv)
    stamina.instrumentation.set_on_retry_hooks([])  # what fails for good is said once
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except UsageError as exc:
        return _complain(str(exc), BAD_USE)
    except RequestError as exc:
        return _complain(str(exc), BAD_USE)
    except UnreachableError as exc:
        return _complain(f"{exc}\nIs it running? Start it with `qjet up`.", NO_SERVER)
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="qjet", description="Run quantum circuits as durable tasks.", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"qjet {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_submit(commands)
    _add_reading(commands)
    _add_up(commands)
    return top


def run_circuit(client: Client, arguments: argparse.Namespace, console: Console) -> int:
    """Submit, wait, print; the core of `qjet run`."""
    task = _awaited(client, arguments, console.status)
    show_task(task, console)
    return _code(task)


def _awaited(
    client: Client,
    arguments: argparse.Namespace,
    shown: Callable[[str], AbstractContextManager[Any]],
) -> Task:
    """Submit and wait for the end; who stops waiting does not want it any more."""
    task_id = client.submit(_source(arguments.file), **options_of(arguments))
    try:
        with shown(f"task {task_id}"):
            return client.wait(task_id)
    except KeyboardInterrupt:
        _cancel_interrupted(client, task_id)
        raise


def _cancel_interrupted(client: Client, task_id: str) -> None:
    """Cancel what nobody waits for any more, and say what became of it."""
    try:
        said = client.cancel(task_id).message
    except RequestError as exc:
        said = exc.problem.detail
    except UnreachableError:
        said = "It may go on."
    sys.stderr.write(f"interrupted; {said} See it with: qjet status {task_id}\n")


def _add_run(commands: Any) -> None:
    command = commands.add_parser("run", help="submit a circuit and print its counts")
    add_circuit_arguments(command)
    _add_common(command)
    command.set_defaults(command=_run)


def _add_submit(commands: Any) -> None:
    command = commands.add_parser("submit", help="submit circuits and print their task ids")
    add_circuit_arguments(command, many=True)
    _add_common(command)
    command.set_defaults(command=_submit)


def _add_reading(commands: Any) -> None:
    status = commands.add_parser("status", help="show where a task is")
    result = commands.add_parser("result", help="wait for a task and print its counts")
    cancel = commands.add_parser("cancel", help="cancel a task that has not finished")
    for command, function in ((status, _status), (result, _result), (cancel, _cancel)):
        command.add_argument("task_id")
        _add_common(command)
        command.set_defaults(command=function)
    result.add_argument("--wait", type=float, metavar="S", help="give up after S seconds")


def _add_up(commands: Any) -> None:
    command = commands.add_parser("up", help="run the whole stack in the foreground")
    command.add_argument(
        "--http-port", type=int, default=8000, metavar="P", help="8000; 0: a free one"
    )
    command.add_argument(
        "--nats-port", type=int, default=4222, metavar="P", help="4222; 0: a free one"
    )
    command.add_argument(
        "--executors", type=_at_least_one, default=1, metavar="N", help="how many (1)"
    )
    command.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where tasks live (~/.local/share/qjet)"
    )
    command.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    command.add_argument(
        "--try",
        action="append",
        dest="tries",
        default=[],
        metavar="'FILE …'",
        help="once ready, do `qjet run FILE …`; repeatable",
    )
    command.add_argument("--once", action="store_true", help="stop after the tries")
    command.set_defaults(command=_up)


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _add_common(command: argparse.ArgumentParser) -> None:
    url = os.environ.get("QJET_URL", DEFAULT_URL)
    command.add_argument("--url", default=url, help="the gateway (or set QJET_URL)")
    command.add_argument("--json", action="store_true", help="print JSON, for machines")


def _run(arguments: argparse.Namespace) -> int:
    with _client(arguments) as client:
        if not arguments.json:
            return run_circuit(client, arguments, Console())
        task = _awaited(client, arguments, nullcontext)
    _print_json(task)
    return _code(task)


def _submit(arguments: argparse.Namespace) -> int:
    options = options_of(arguments)
    sources = [_source(file) for file in arguments.file]
    with _client(arguments) as client:
        if len(sources) == 1:
            task_ids = [client.submit(sources[0], **options)]
            answer: object = {"task_id": task_ids[0]}
        else:
            answer = client.submit_all({"qc": qc, **options} for qc in sources)
            task_ids = list(answer.task_ids)
    print(msgspec.json.encode(answer).decode() if arguments.json else "\n".join(task_ids))
    return FINE


def _cancel(arguments: argparse.Namespace) -> int:
    with _client(arguments) as client:
        _show_state(client.cancel(arguments.task_id), arguments)
    return FINE


def _status(arguments: argparse.Namespace) -> int:
    with _client(arguments) as client:
        _show_state(client.get(arguments.task_id), arguments)
    return FINE


def _show_state(task: Task, arguments: argparse.Namespace) -> None:
    if arguments.json:
        _print_json(task)
    else:
        print(f"{task.status}  {task.message}")


def _result(arguments: argparse.Namespace) -> int:
    with _client(arguments) as client:
        task = client.wait(arguments.task_id, timeout_s=arguments.wait)
    if arguments.json:
        _print_json(task)
    else:
        show_task(task, Console())
    return _code(task)


def _up(arguments: argparse.Namespace) -> int:
    try:
        from qjet.up import run_stack  # noqa: PLC0415  # needs the services' extras
    except ModuleNotFoundError as exc:
        raise UsageError(f"{exc}; `qjet up` needs `pip install 'qjet[all]'`") from exc
    return run_stack(arguments)


def _client(arguments: argparse.Namespace) -> Client:
    try:
        return Client(arguments.url)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc


def _source(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"cannot read {file}: {exc}") from exc


def _code(task: Task) -> int:
    """Return the exit code for a task: only a final state other than completed is a failure."""
    return TASK_FAILED if task.is_final and task.status != "completed" else FINE


def _print_json(task: Task) -> None:
    print(msgspec.json.format(msgspec.json.encode(task), indent=2).decode())


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"qjet: {text}\n")
    return code
