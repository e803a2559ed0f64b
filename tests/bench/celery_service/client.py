"""The Celery side as the API sees it: by name, so that the API needs no Qiskit."""

import os

from celery import Celery

redis = os.environ["BENCH_REDIS_URL"]
app = Celery("bench", broker=redis, backend=redis)
RUN = "tests.bench.celery_service.work.run"
