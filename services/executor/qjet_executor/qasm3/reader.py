"""Reads the plain part of OpenQASM 3 straight into a circuit, statement by statement.

Plain are declarations, gates with constant arguments, their definitions and modifiers, measure,
reset, barrier, `if` and `while`. A program that holds anything else, or an error whose reason and
place are not plain, is left to the reference importer as a whole; on what both read they agree.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from qiskit import QuantumCircuit
from qiskit.circuit import (
    CircuitInstruction,
    ClassicalRegister,
    Clbit,
    Measure,
    Reset,
)

from qjet_executor.diagnose import CircuitError
from qjet_executor.extent import Limits
from qjet_executor.genuine import genuine
from qjet_executor.qasm3.calls import read_call, read_definition
from qjet_executor.qasm3.declarations import Declarations
from qjet_executor.qasm3.expressions import arguments, integer
from qjet_executor.qasm3.gates import STDGATES, Standard, add_phase
from qjet_executor.qasm3.scope import Scope
from qjet_executor.qasm3.tokens import NotFast, Tokens
from qjet_executor.refusals import expands_too_far

_DEEPEST: Final = 20
_MEASURE: Final = Measure()
_RESET: Final = Reset()
_BOOLEANS: Final = {"true": True, "false": False}


def read(source: str, most: Limits) -> QuantumCircuit | None:
    """Return the circuit that `source` describes, or None if the reference importer has to read it.

    It is as `genuine` makes it. What it declares and applies is counted before it is built.

    Raises:
        CircuitError: the program is wrong in a way that is plain, or goes beyond `most`.
    """
    try:
        return _Reader(Tokens(source), most).program()
    except (CircuitError, MemoryError):
        raise
    except Exception:  # noqa: BLE001  # whatever it is, the importer's diagnosis says it better
        return None


class _Reader:
    """Reads one program. Each rule's method starts after the word that chose it."""

    def __init__(self, tokens: Tokens, most: Limits) -> None:
        self._tokens = tokens
        self._most = most
        self._left = most.operations
        self._scope = Scope()
        self._circuit = QuantumCircuit()
        self._declarations = Declarations(self._scope, self._circuit, most)
        self._append: Callable[[CircuitInstruction], Any] = self._circuit._append  # noqa: SLF001
        self._depth = 0
        self._is_genuine = True
        self._known_calls: dict[str, CircuitInstruction] = {}

    def program(self) -> QuantumCircuit:
        """Read `version? statement*`."""
        text = self._tokens.next
        if text.startswith("OPENQASM") and not text.isidentifier():
            self._tokens.take()
            self._tokens.expect(";")
        if not self._tokens.next:
            raise NotFast
        while self._tokens.next:
            self._statement()
        in_registers = sum(map(len, self._circuit.cregs))
        if self._is_genuine and in_registers in {0, self._circuit.num_clbits}:
            return self._circuit
        return genuine(self._circuit, self._most.operations)

    def _statement(self) -> None:
        text = self._tokens.next
        if text in self._scope.gates:
            self._gate_call()
        elif rule := self._RULES.get(text):
            self._tokens.take()
            rule(self)
        elif text in self._scope.bits:
            self._assignment()
        elif text in Declarations.RULES:
            self._declaration()
        elif text.startswith("include") and not text.isidentifier():
            self._include()
        else:
            self._gate_call()

    def _gate_call(self) -> None:
        found = self._tokens.plain_call()
        if found and (known := self._known_calls.get(found[0])) is not None:
            self._spend(1)
            self._append(known)
            self._tokens.move(found.end())
            return
        gate, values, places = read_call(self._tokens, self._scope)
        self._spend(gate.size * len(places))
        if isinstance(gate, Standard):
            kind, values = gate.kind, gate.fixed or values
            for qubits in places:
                instruction = CircuitInstruction.from_standard(kind, qubits, values)
                self._append(instruction)
            if found and len(places) == 1:
                self._known_calls[found[0]] = instruction
            return
        self._is_genuine &= gate.is_genuine and not self._depth
        if self._depth:  # a block's qubits are those of its gates, whatever these do with them
            for qubits in places:
                self._append(CircuitInstruction(gate.operation(values), qubits))
        else:
            steps = gate.steps(values)
            for qubits in places:
                for step in steps:
                    self._append(step.on(qubits))

    def _spend(self, operations: int) -> None:
        """Take notice of operations before they are made."""
        self._left -= operations
        if self._left < 0:
            raise CircuitError.of(expands_too_far(self._most.operations))

    def _gphase(self) -> None:
        (phase,) = arguments(self._tokens, self._scope.values)
        self._tokens.expect(";")
        add_phase(self._circuit, phase)

    def _measurement(self) -> None:
        """Read `qubits "->" bits ";"`."""
        qubits = self._scope.pick(self._tokens, self._scope.qubits)
        self._tokens.expect("->")
        self._measure(qubits, self._scope.pick(self._tokens, self._scope.bits))

    def _assignment(self) -> None:
        """Read `bits "=" "measure" qubits ";"`."""
        bits = self._scope.pick(self._tokens, self._scope.bits)
        self._tokens.expect("=")
        self._measured_into(bits)

    def _measured_into(self, bits: Any) -> None:
        self._tokens.expect("measure")
        self._measure(self._scope.pick(self._tokens, self._scope.qubits), bits)

    def _measure(self, qubits: Any, bits: Any) -> None:
        self._tokens.expect(";")
        sources = qubits if isinstance(qubits, list) else [qubits]
        targets = [bits] if isinstance(bits, Clbit) else list(bits)
        if len(sources) != len(targets):
            raise NotFast
        self._spend(len(sources))
        for source, target in zip(sources, targets, strict=True):
            self._append(CircuitInstruction(_MEASURE, (source,), (target,)))

    def _reset(self) -> None:
        qubits = self._scope.pick(self._tokens, self._scope.qubits)
        self._tokens.expect(";")
        targets = qubits if isinstance(qubits, list) else [qubits]
        self._spend(len(targets))
        for qubit in targets:
            self._append(CircuitInstruction(_RESET, (qubit,)))

    def _barrier(self) -> None:
        """Read `qubits? ";"`."""
        self._spend(1)
        if self._tokens.next == ";" and not self._depth and self._circuit.num_qubits:
            self._circuit.barrier()
        else:
            self._circuit.barrier(*self._scope.pick_qubits(self._tokens))
        self._tokens.expect(";")

    def _if(self) -> None:
        """Read `"(" condition ")" block ("else" block)?`."""
        self._spend(1)
        with self._circuit.if_test(self._condition()) as else_:
            self._block()
        if not self._tokens.accept("else"):
            return
        is_open = self._tokens.accept("{")
        if not (is_open and self._tokens.accept("}")):
            with else_:
                self._block(is_open=is_open)

    def _while(self) -> None:
        """Read `"(" condition ")" block`."""
        self._spend(1)
        with self._circuit.while_loop(self._condition()):
            self._block()

    def _condition(self) -> tuple[Clbit | ClassicalRegister, int]:
        """Read `"(" (("!" | "~")? bit | bit ("==" | "!=") boolean | register "==" integer) ")"`."""
        tokens = self._tokens
        tokens.expect("(")
        is_negated = tokens.accept("!") or tokens.accept("~")
        bits = self._scope.pick(tokens, self._scope.bits)
        value: int
        if isinstance(bits, Clbit):
            value = self._compared(is_negated=is_negated)
        elif isinstance(bits, ClassicalRegister) and not is_negated:
            tokens.expect("==")
            value = integer(tokens, self._scope.values)
            if not 0 <= value < 1 << len(bits):
                raise NotFast
        else:
            raise NotFast
        tokens.expect(")")
        return bits, value

    def _compared(self, *, is_negated: bool) -> bool:
        """Read what a bit is compared with, and return the value it has to have."""
        tokens = self._tokens
        if is_negated or tokens.next not in {"==", "!="}:
            return not is_negated
        sign, text = tokens.take(), tokens.take()
        return _BOOLEANS[text] == (sign == "==")

    def _block(self, *, is_open: bool = False) -> None:
        """Read `statement | "{" statement* "}"` into the circuit's newest block."""
        if self._depth == _DEEPEST:
            raise NotFast
        outer, self._append = self._append, self._append_in_block
        self._depth += 1
        if is_open or self._tokens.accept("{"):
            while not self._tokens.accept("}"):
                self._statement()
        else:
            self._statement()
        self._depth -= 1
        self._append = outer

    def _append_in_block(self, instruction: CircuitInstruction) -> None:
        self._circuit.append(instruction, copy=False)

    def _include(self) -> None:
        self._tokens.take()
        self._tokens.expect(";")
        self._check_global()
        if self._scope.knows_any(STDGATES):
            raise NotFast
        self._scope.gates.update(STDGATES)

    def _declaration(self) -> None:
        """Read a declaration, and `"=" "measure" qubits` behind one of bits."""
        self._check_global()
        kind = self._tokens.take()
        declared = Declarations.RULES[kind](self._declarations, self._tokens)
        if kind == "bit" and self._tokens.accept("="):
            self._measured_into(declared)
        else:
            self._tokens.expect(";")

    def _definition(self) -> None:
        self._check_global()
        definition = read_definition(self._tokens, self._scope)
        if definition.size > self._most.operations:
            raise CircuitError.of(expands_too_far(self._most.operations))
        self._scope.gates[definition.name] = definition

    def _check_global(self) -> None:
        if self._depth:
            raise NotFast

    _RULES: ClassVar[dict[str, Callable[["_Reader"], None]]] = {
        "gate": _definition,
        "gphase": _gphase,
        "measure": _measurement,
        "reset": _reset,
        "barrier": _barrier,
        "if": _if,
        "while": _while,
    }
