"""The HTTP side: the same two calls as qjet's, with FastAPI and Celery.

`python -m tests.bench.celery_service.api FD` serves on a listening socket that it inherits. Given
that descriptor, uvicorn would take it for a Unix socket and leave Nagle's algorithm on: 40 ms a
request.
"""

import socket
import sys
from typing import Any

import uvicorn
from celery.result import AsyncResult
from fastapi import FastAPI
from pydantic import BaseModel

from tests.bench.celery_service.client import RUN
from tests.bench.celery_service.client import app as celery

app = FastAPI()
_STATUSES = {"SUCCESS": "completed", "FAILURE": "error"}


class Submission(BaseModel):
    """A circuit to run."""

    qc: str


@app.post("/tasks", status_code=202)
def submit(submission: Submission) -> dict[str, str]:
    """Queue a task."""
    task = celery.send_task(RUN, [submission.qc])
    return {"task_id": task.id, "message": "Task submitted successfully."}


@app.get("/tasks/{task_id}")
def read(task_id: str) -> dict[str, Any]:
    """Tell how far a task is."""
    task: AsyncResult[Any] = AsyncResult(task_id, app=celery)
    status = _STATUSES.get(task.state, "pending")
    return {"task_id": task_id, "status": status, "result": task.result if task.ready() else None}


if __name__ == "__main__":
    listener = socket.socket(fileno=int(sys.argv[1]))
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
