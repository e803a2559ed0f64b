"""The baseline: read and run a circuit in a plain loop, the way users do without qjet.

`python plain_loop.py SECONDS` prints one line of JSON with the circuits it ran and the seconds.
"""

import json
import sys
import time

from qiskit import qasm3
from qiskit_aer import AerSimulator

from qjet_shared.messages import BELL_QASM

SHOTS = 1024


def main() -> None:
    """Warm up, wait for a line on standard input, then count."""
    simulator = AerSimulator(max_parallel_threads=1)
    simulator.run(qasm3.loads(BELL_QASM), shots=SHOTS).result().get_counts()
    print("ready", flush=True)
    sys.stdin.readline()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < float(sys.argv[1]):
        simulator.run(qasm3.loads(BELL_QASM), shots=SHOTS).result().get_counts()
        done += 1
    print(json.dumps({"done": done, "seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()
