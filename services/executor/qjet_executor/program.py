"""A circuit that is ready to run, and what is known of it. Sandbox only."""

from dataclasses import dataclass
from typing import Final

from qiskit import QuantumCircuit
from qiskit.circuit import CONTROL_FLOW_OP_NAMES

from qjet_executor.names import count
from qjet_executor.sampling import Distribution, Sampling

_PROGRAM_BYTES: Final = 8192
_OPERATION_BYTES: Final = 256
_BLOCK_BYTES: Final = 12_288
"""Rounded up; measured: 4,000 for a small circuit, 88 to 190 more for each operation, 10,000 for
each block of control flow. An outcome that is spelled and kept takes 100."""


@dataclass(kw_only=True)
class Program:
    """A circuit in the gates of its simulator; its distribution once that has been computed."""

    circuit: QuantumCircuit
    sampling: Sampling | None
    measures: bool = True
    distribution: Distribution | None = None

    @property
    def size_bytes(self) -> int:
        """Roughly what it takes of memory, with the distribution that may be kept."""
        counted = count(self.circuit)
        blocks = sum(counted[name] for name in CONTROL_FLOW_OP_NAMES)
        outcomes = self.sampling.most_kept if self.sampling else 0
        operations = counted.total() + outcomes
        return _PROGRAM_BYTES + operations * _OPERATION_BYTES + blocks * _BLOCK_BYTES
