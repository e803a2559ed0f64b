"""The names of a program or of a gate's body, and how bits are picked by them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from qiskit.circuit import Parameter

from qjet_executor.qasm3.expressions import CONSTANTS, Value, integer
from qjet_executor.qasm3.gates import BUILTIN, Call, GateLike
from qjet_executor.qasm3.tokens import NotFast, Tokens, is_name

Places: TypeAlias = list[tuple[Any, ...]]
"""What a gate is applied to, each in the gate's order; several where registers are broadcast."""


@dataclass
class Scope:
    """What names stand for. In a gate's body qubits are positions, and parameters are values.

    What was read before is kept by its text, for no name ever changes what it stands for.
    """

    gates: dict[str, GateLike] = field(default_factory=lambda: dict(BUILTIN))
    values: dict[str, Value] = field(default_factory=lambda: dict(CONSTANTS))
    qubits: dict[str, Any] = field(default_factory=dict)
    bits: dict[str, Any] = field(default_factory=dict)
    is_body: bool = False
    values_by_text: dict[str, Value] = field(default_factory=dict)
    qubits_by_text: dict[str, Any] = field(default_factory=dict)
    places_by_text: dict[str, Places] = field(default_factory=dict)
    modified_by_text: dict[str, Call] = field(default_factory=dict)

    def body(self) -> "Scope":
        """Return the scope of a gate's body, which knows the program's gates but not its bits."""
        return Scope(gates=self.gates, is_body=True)

    def knows(self, name: str) -> bool:
        """Whether `name` stands for anything."""
        return name in self.gates or name in self.values or name in self.qubits or name in self.bits

    def knows_any(self, names: Iterable[str]) -> bool:
        """Whether any of `names` stands for anything."""
        kinds = (self.gates, self.values, self.qubits, self.bits)
        return not all(kind.keys().isdisjoint(names) for kind in kinds)

    def new_name(self, tokens: Tokens) -> str:
        """Read a name that stands for nothing yet."""
        name = tokens.name()
        if self.knows(name):
            raise NotFast
        return name

    def new_formal(self, tokens: Tokens) -> str:
        """Read the name of a gate's parameter or qubit; what else has that name is hidden by it."""
        name = tokens.name()
        if name in self.qubits or isinstance(self.values.get(name), Parameter):
            raise NotFast
        if name in self.gates:
            self.gates = {known: gate for known, gate in self.gates.items() if known != name}
        self.values.pop(name, None)
        return name

    def pick(self, tokens: Tokens, bits: dict[str, Any]) -> Any:
        """Read `name index*`: one of `bits`, or several in a sequence, which is never empty.

        Raises:
            CircuitError: there is no such name or index.
        """
        at = tokens.at
        name = tokens.take()
        picked = bits.get(name)
        if picked is None:
            if self.is_body or self.knows(name) or not is_name(name) or tokens.next == "(":
                raise NotFast
            raise tokens.error(f"Undefined symbol '{name}'.", at=at)
        while tokens.next == "[":
            picked = self._indexed(tokens, name, picked)
        return picked

    def pick_qubits(self, tokens: Tokens) -> list[Any]:
        """Read `pick` of qubits, one or more, separated by commas."""
        picked = [self.pick(tokens, self.qubits)]
        while tokens.accept(","):
            picked.append(self.pick(tokens, self.qubits))
        return picked

    def _indexed(self, tokens: Tokens, name: str, bits: Sequence[Any]) -> Any:
        """Read `"[" (expression | range | set) "]"`, and pick by it."""
        tokens.expect("[")
        if not hasattr(bits, "__getitem__"):
            raise NotFast
        at = tokens.at
        find = self._finder(tokens)
        tokens.expect("]")
        try:
            picked = find(bits)
        except IndexError:
            message = f"Index out of range: {name} has {len(bits)} here, counted from 0."
            raise tokens.error(message, at=at) from None
        if picked == []:
            raise NotFast
        return picked

    def _finder(self, tokens: Tokens) -> Callable[[Sequence[Any]], Any]:
        if tokens.accept("{"):
            places = [integer(tokens, self.values)]
            while tokens.accept(","):
                places.append(integer(tokens, self.values))
            tokens.expect("}")
            return lambda bits: [bits[place] for place in places]
        index = self._index(tokens)
        return lambda bits: bits[index]

    def _index(self, tokens: Tokens) -> int | slice:
        """Read a number, or `start? ":" (step ":")? end?` whose end is included."""
        start = self._bound(tokens)
        if not tokens.accept(":"):
            if start is None:
                raise NotFast
            return start
        end, step = self._bound(tokens), None
        if tokens.accept(":"):
            end, step = integer(tokens, self.values), end
            if step is None:
                raise NotFast
        past_end = -1 if step is not None and step <= 0 else 1
        return slice(start, None if end is None else end + past_end, step)

    def _bound(self, tokens: Tokens) -> int | None:
        return None if tokens.next in {":", "]"} else integer(tokens, self.values)
