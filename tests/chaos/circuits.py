"""The kinds of tasks that chaos sends, and what each may come to.

No two kinds share an outcome, and a `tagged` task's outcomes are its own alone: a result that
went to another task shows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.circuits import BELL, COIN_20, ENDLESS

WEIGHTS = {
    "bell": 54,
    "tagged": 26,
    "seeded": 8,
    "slow": 4,
    "large": 1,
    "broken": 5,
    "endless": 2,
}
"""How many of a hundred tasks are of each kind."""

LONG_KINDS = frozenset({"slow", "large", "endless"})
"""Those that run for a second or more, so that faults and cancellations find them running."""

TAG_BITS = 16
_HEADER = 'OPENQASM 3; include "stdgates.inc"; '
_TAG_QUBITS = f"qubit[{TAG_BITS + 2}] q; bit[2] c; bit[{TAG_BITS}] tag; "


@dataclass(frozen=True)
class Circuit:
    """What to submit, and what to expect.

    `outcomes` are all bitstrings it may give, or how long they are where that would be too many.
    `error` is the code of the one error it ends with, None where it has to complete. Counts of
    circuits with the same `twin` are the same, bit for bit.
    """

    qc: str
    shots: int
    options: dict[str, Any] = field(default_factory=dict)
    outcomes: frozenset[str] = frozenset()
    error: str | None = None
    twin: str | None = None

    def submission(self, name: str) -> dict[str, Any]:
        """Return the JSON object to submit it with."""
        return {"qc": self.qc, "shots": self.shots, "name": name, **self.options}


def circuit(kind: str, index: int) -> Circuit:
    """Return the circuit of task number `index`, which is of `kind`."""
    return _MAKERS[kind](index)


def _tagged(index: int) -> Circuit:
    """A Bell pair beside a register that holds the task's own number; never read from a cache."""
    number = index % (1 << TAG_BITS)
    flips = " ".join(f"x q[{bit + 2}];" for bit in range(TAG_BITS) if number >> bit & 1)
    program = (
        f"{_HEADER}{_TAG_QUBITS}h q[0]; cx q[0], q[1]; {flips} "
        f"c = measure q[0:1]; tag = measure q[2:{TAG_BITS + 1}];"
    )
    tag = f"{number:0{TAG_BITS}b}"
    return Circuit(program, 32, outcomes=frozenset({f"{tag} 00", f"{tag} 11"}))


def _ghz(qubits: int, *, shots: int, seed: int) -> Circuit:
    """All zeros or all ones; with many shots and a seed, a second or two of counting."""
    entangle = " ".join(f"cx q[{i}], q[{i + 1}];" for i in range(qubits - 1))
    program = f"{_HEADER}qubit[{qubits}] q; bit[{qubits}] c; h q[0]; {entangle} c = measure q;"
    return Circuit(
        program,
        shots,
        {"seed": seed},
        outcomes=frozenset({"0" * qubits, "1" * qubits}),
        twin=f"ghz-{qubits} with {shots} shots",
    )


_MAKERS: dict[str, Callable[[int], Circuit]] = {
    "bell": lambda _: Circuit(BELL, 64, outcomes=frozenset({"00", "11"})),
    "tagged": _tagged,
    "seeded": lambda _: _ghz(4, shots=256, seed=7),
    "slow": lambda index: _ghz(3, shots=(500_000, 750_000, 1_000_000)[index % 3], seed=11),
    "large": lambda _: Circuit(COIN_20, 100_000, outcomes=frozenset({"20 bits"})),
    "broken": lambda _: Circuit("OPENQASM 3; qubit[2] q\nh q[0];", 16, error="qasm_syntax"),
    "endless": lambda _: Circuit(ENDLESS, 16, {"timeout_s": 1.0}, error="time_limit"),
}
