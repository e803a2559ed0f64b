"""Circuits that tests run, and what they should give."""

BELL = (
    'OPENQASM 3; include "stdgates.inc"; qubit[2] q; bit[2] c; '
    "h q[0]; cx q[0], q[1]; c = measure q;"
)

ENDLESS = (
    'OPENQASM 3; include "stdgates.inc"; qubit[1] q; bit[1] c; '
    "x q[0]; c = measure q; while (c == 1) { c = measure q; }"
)
"""Runs until it is killed."""

COIN_20 = (
    'OPENQASM 3; include "stdgates.inc"; qubit[20] q; bit[20] c; h q; t q; h q; h q; c = measure q;'
)
"""Twenty fair coins: with many shots, a large result."""
