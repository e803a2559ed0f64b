"""The Celery side: reads a circuit, runs it on Aer, keeps the counts in Redis."""

import os

from celery import Celery
from qiskit import qasm3
from qiskit_aer import AerSimulator

SHOTS = 1024

redis = os.environ["BENCH_REDIS_URL"]
app = Celery("bench", broker=redis, backend=redis)
app.conf.update(worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)
simulator = AerSimulator()


@app.task
def run(source: str) -> dict[str, int]:
    """Return the counts of a program."""
    return dict(simulator.run(qasm3.loads(source), shots=SHOTS).result().get_counts())
