"""How much memory each of Aer's methods needs for a number of qubits. Pure.

Source: Aer's `required_memory_mb` of each state: `qubitvector.hpp` and `densitymatrix.hpp` (one
complex number an amplitude), `stabilizer_state.hpp`; Aer 0.18 counts the tableau twice.
`matrix_product_state_internal.cpp` and `ch_runner.hpp` for what the others hold at the least.
"""

from typing import Final, Literal

Precision = Literal["single", "double"]

MOST_EXTENDED_STABILIZER_QUBITS: Final = 63
"""Source: Aer `extended_stabilizer_state.hpp`, "The CH simulator only supports up to 63 qubits"."""

_AMPLITUDE_BYTES: Final = {"single": 8, "double": 16}
_TABLEAU_BYTES: Final = 32
_TABLEAU_MARGIN: Final = 4
_TENSOR_BYTES: Final = 40
"""Two complex numbers and a singular value: a qubit that is entangled with none."""

_LARGEST_EXPONENT: Final = 1000
"""Beyond, two to the power of it is soon no float any more."""


def needed_bytes(method: str, qubits: int, precision: Precision = "double") -> float:
    """Return the bytes `method` needs for a state of `qubits` qubits.

    Exact for statevector, density_matrix and stabilizer as Aer counts it; a lower bound for the
    others, whose size depends on the gates.
    """
    if method == "statevector":
        return _amplitudes(qubits) * _AMPLITUDE_BYTES[precision]
    if method == "density_matrix":
        return _amplitudes(2 * qubits) * _AMPLITUDE_BYTES[precision]
    if method == "stabilizer":
        return float(_TABLEAU_BYTES * qubits * (qubits + _TABLEAU_MARGIN))
    if method == "extended_stabilizer":
        return qubits * qubits / 8 if qubits <= MOST_EXTENDED_STABILIZER_QUBITS else float("inf")
    return float(_TENSOR_BYTES * qubits)


def _amplitudes(qubits: int) -> float:
    return 2.0**qubits if qubits <= _LARGEST_EXPONENT else float("inf")
