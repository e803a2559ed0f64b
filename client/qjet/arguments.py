"""The arguments that say how to run a circuit, and the submission's fields they stand for."""

import argparse
import math
from pathlib import Path
from typing import Any, get_args

import msgspec

from qjet_shared.messages.submission import Fallback, Method
from qjet_shared.options import Precision


def add_circuit_arguments(command: argparse.ArgumentParser, *, many: bool = False) -> None:
    """Add what says which circuit to run, or which of them, and how."""
    if many:
        text = "OpenQASM files; - reads standard input. Several go as a batch, all or none"
        command.add_argument("file", nargs="+", help=text)
    else:
        command.add_argument("file", help="an OpenQASM file; - reads standard input")
    command.add_argument("--shots", type=int, metavar="N", help="how often to run (1024)")
    command.add_argument("--seed", type=int, metavar="N", help="the same seed, the same counts")
    command.add_argument("--method", choices=get_args(Method), help="Aer's simulation method")
    command.add_argument(
        "--fallback",
        choices=get_args(Fallback),
        help="the method to take where that one needs too much memory",
    )
    command.add_argument("--timeout-s", type=float, metavar="S", help="wall time limit")
    command.add_argument("--memory", action="store_true", help="also return each shot's outcome")
    values = command.add_mutually_exclusive_group()
    values.add_argument(
        "--param",
        action=_Collect,
        type=_parameter,
        dest="parameters",
        metavar="NAME=NUMBER",
        help="a number for an input of the circuit; repeatable",
    )
    values.add_argument(
        "--sweep",
        type=_json_file,
        dest="parameters",
        metavar="FILE",
        help="a JSON list of objects, input to number: run the circuit at each",
    )
    command.add_argument(
        "--observable",
        type=_pauli_sum,
        action="append",
        dest="observables",
        metavar="PAULIS",
        help="give its expectation value, e.g. ZZ or ZZ=1,XI=0.5; repeatable",
    )
    command.add_argument(
        "--noise",
        type=_json_file,
        dest="noise_model",
        metavar="FILE",
        help="a noise model as JSON, with the fields of `noise_model`",
    )
    command.add_argument("--precision", choices=get_args(Precision), help="of the state (double)")
    command.add_argument(
        "--option",
        action=_Collect,
        type=_option,
        dest="method_options",
        metavar="NAME=VALUE",
        help="an option of the method, by Aer's name; repeatable",
    )
    command.add_argument("--name", help="a name of your own")
    command.add_argument("--tag", action="append", dest="tags", metavar="TAG", help="repeatable")


class _Collect(argparse.Action):
    """Collects pairs into one object."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002  # argparse's signature
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002  # same
    ) -> None:
        name, value = values
        before = getattr(namespace, self.dest) or {}
        setattr(namespace, self.dest, {**before, name: value})


def _option(text: str) -> tuple[str, Any]:
    """Read `NAME=VALUE`; a value is JSON, or a word."""
    name, has_value, value = text.partition("=")
    if not has_value:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def _parameter(text: str) -> tuple[str, float]:
    """Read `NAME=NUMBER`."""
    name, _, number = text.partition("=")
    try:
        return name, _finite(number)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=NUMBER") from exc


def _pauli_sum(text: str) -> dict[str, float]:
    """Read `ZZ`, or `ZZ=1,XI=0.5`."""
    terms = (term.partition("=") for term in text.split(","))
    try:
        return {letters: _finite(number or "1") for letters, _, number in terms}
    except ValueError as exc:
        form = "PAULIS or PAULIS=NUMBER,…"
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form {form}") from exc


def _finite(text: str) -> float:
    """Read a number; JSON has none that is infinite or none at all."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _json_file(path: str) -> Any:
    """Read an argument that names a file of JSON."""
    try:
        return msgspec.json.decode(Path(path).read_bytes())
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as exc:
        raise argparse.ArgumentTypeError(f"cannot read {path}: {exc}") from exc


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a submission that were given."""
    names = (
        "shots",
        "seed",
        "method",
        "fallback",
        "timeout_s",
        "memory",
        "parameters",
        "noise_model",
        "observables",
        "precision",
        "method_options",
        "name",
        "tags",
    )
    options = {name: getattr(arguments, name) for name in names}
    return {
        name: value for name, value in options.items() if value is not None and value is not False
    }
