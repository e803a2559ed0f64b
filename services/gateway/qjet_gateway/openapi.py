"""The OpenAPI 3.1 document, made from the same types that check the input.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from typing import Any, Final

import msgspec

from qjet_gateway import idempotency
from qjet_gateway.health import Health
from qjet_gateway.problems import CONTENT_TYPE
from qjet_gateway.routes import LONGEST_WAIT_S
from qjet_gateway.stats import Snapshot
from qjet_shared import __version__
from qjet_shared.batches import (
    BatchAccepted,
    BatchCounts,
    BatchName,
    BatchState,
    BatchSubmission,
)
from qjet_shared.messages.answers import Accepted, Problem
from qjet_shared.messages.submission import BELL_QASM, Submission
from qjet_shared.messages.task import Task
from qjet_shared.submissions import Limits

_REF: Final = "#/components/schemas/{name}"
_TASK_ID: Final = "01a1b2c3-d4e5-7f60-8a9b-0c1d2e3f4a5b"
_TASK_ID_PARAMETER: Final = {
    "name": "task_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
}
_ROTATION_QASM: Final = (
    'OPENQASM 3; include "stdgates.inc"; '
    "input float theta; qubit q; bit c; ry(theta) q; c = measure q;"
)
_SUBMISSIONS: Final[dict[str, dict[str, Any]]] = {
    "bell": {"qc": BELL_QASM},
    "seeded": {"qc": BELL_QASM, "shots": 100, "seed": 7},
    "sweep": {"qc": _ROTATION_QASM, "parameters": [{"theta": 0}, {"theta": 1.57}]},
    "noise": {
        "qc": BELL_QASM,
        "noise_model": {"depolarizing": {"two_qubit": 0.01}, "readout": {"p01": 0.02, "p10": 0.05}},
    },
    "observables": {"qc": BELL_QASM, "observables": [{"ZZ": 1.0}, {"ZZ": 1.0, "XI": 0.5}]},
    "options": {
        "qc": BELL_QASM,
        "method": "matrix_product_state",
        "method_options": {"matrix_product_state_max_bond_dimension": 64},
        "memory": True,
    },
}
_KEY_PARAMETER: Final = {
    "name": idempotency.HEADER,
    "in": "header",
    "description": "A name of your own for this submission. Sent again with the same key, after a "
    "lost answer say, it gives the same task or batch.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_WAIT_PARAMETER: Final = {
    "name": "wait",
    "in": "query",
    "description": "Seconds to wait for the end, of all tasks where there are several.",
    "schema": {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT_S, "default": 0},
    "example": 10,
}
_BATCH: Final = BatchName("01a1b2c3-d4e5-7f60-8a9b-0c1d2e3f4a5b", 2)
_TYPES: Final = (
    *(Submission, Accepted, Task, BatchSubmission, BatchAccepted, BatchState),
    *(Problem, Health, Snapshot),
)


def document(limits: Limits) -> dict[str, Any]:
    """Return the whole document, with this gateway's limits in it."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    properties = schemas["Submission"]["properties"]
    properties["shots"] |= {"maximum": limits.max_shots, "default": limits.default_shots}
    properties["parameters"]["description"] += f" At most {limits.max_points} here."
    properties["timeout_s"]["description"] += f" At most {limits.max_timeout_s:g} here."
    shown = schemas["BatchState"]["properties"]["tasks"]
    shown["items"] = {"anyOf": [_ref("Task"), shown["items"]]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "qjet",
            "version": __version__,
            "summary": "Quantum circuits as durable tasks",
            "description": "Post OpenQASM, get a task id, read the counts. An accepted task "
            "survives any crash and reaches one final state.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {
            "/tasks": {"post": _post_task()},
            "/tasks/{task_id}": {"get": _get_task(), "delete": _delete_task()},
            "/tasks/{task_id}/cancel": {"post": _cancel_task()},
            "/batches": {"post": _post_batch()},
            "/batches/{batch_id}": {"get": _get_batch()},
            "/health": {"get": _get_health()},
            "/health/live": {"get": _probe("Whether the process runs")},
            "/health/ready": {"get": _probe("Whether submissions are accepted")},
            "/metrics": {"get": _get_metrics()},
        },
        "components": {"schemas": schemas},
    }


def _post_task() -> dict[str, Any]:
    accepted = {"task_id": _TASK_ID, "message": "Task submitted successfully."}
    location = {"description": "Where the task is.", "schema": {"type": "string"}}
    return {
        "summary": "Submit a circuit",
        "operationId": "submitTask",
        "tags": ["tasks"],
        "parameters": [_KEY_PARAMETER],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _ref("Submission"),
                    "examples": {name: {"value": value} for name, value in _SUBMISSIONS.items()},
                }
            },
        },
        "responses": {
            "202": {
                "description": "The task is on disk; it will reach a final state.",
                "headers": {"Location": location},
                "content": _json("Accepted", accepted),
            },
            **_problems(400, 409, 413, 415, 422, 429, 503),
        },
    }


def _get_task() -> dict[str, Any]:
    task = {
        "task_id": _TASK_ID,
        "status": "completed",
        "message": "Task completed.",
        "result": {"00": 512, "11": 512},
        "shots": 1024,
    }
    return {
        "summary": "Read a task",
        "operationId": "getTask",
        "tags": ["tasks"],
        "parameters": [
            _TASK_ID_PARAMETER,
            _WAIT_PARAMETER,
        ],
        "responses": {
            "200": {"description": "The task as it is.", "content": _json("Task", task)},
            **_problems(404, 422, 503),
        },
    }


def _post_batch() -> dict[str, Any]:
    accepted = {"batch_id": _BATCH.batch_id, "task_ids": _BATCH.task_ids}
    location = {"description": "Where the batch is.", "schema": {"type": "string"}}
    seeded = {"qc": BELL_QASM, "shots": 100, "seed": 7}
    return {
        "summary": "Submit many circuits at once",
        "description": "All of them are accepted, or none. Each is a task like any other.",
        "operationId": "submitBatch",
        "tags": ["batches"],
        "parameters": [_KEY_PARAMETER],
        "requestBody": {
            "required": True,
            "content": _json("BatchSubmission", {"tasks": [{"qc": BELL_QASM}, seeded]}),
        },
        "responses": {
            "202": {
                "description": "All tasks are on disk; each will reach a final state.",
                "headers": {"Location": location},
                "content": _json("BatchAccepted", accepted),
            },
            **_problems(400, 409, 413, 415, 422, 429, 503),
        },
    }


def _get_batch() -> dict[str, Any]:
    first, second = _BATCH.task_ids
    counts = dict.fromkeys(BatchCounts.__struct_fields__, 0) | {"completed": 1, "pending": 1}
    tasks = [{"task_id": first, "status": "completed"}, {"task_id": second, "status": "pending"}]
    batch = {"batch_id": _BATCH.batch_id, "counts": counts, "tasks": tasks}
    return {
        "summary": "Read a batch",
        "description": "Where each task is, and how many have each status.",
        "operationId": "getBatch",
        "tags": ["batches"],
        "parameters": [
            {"name": "batch_id", "in": "path", "required": True, "schema": {"type": "string"}},
            _WAIT_PARAMETER,
            {
                "name": "results",
                "in": "query",
                "description": "Give finished tasks in full, as `GET /tasks/{task_id}` does.",
                "schema": {"type": "boolean", "default": False},
            },
        ],
        "responses": {
            "200": {"description": "The batch as it is.", "content": _json("BatchState", batch)},
            **_problems(404, 422, 503),
        },
    }


def _cancel_task() -> dict[str, Any]:
    task = {
        "task_id": _TASK_ID,
        "status": "cancelled",
        "message": "The task was cancelled.",
    }
    return {
        "summary": "Cancel a task that has not finished",
        "description": "A waiting task never starts, a running one is stopped. "
        "Cancelling twice is fine.",
        "operationId": "cancelTask",
        "tags": ["tasks"],
        "parameters": [_TASK_ID_PARAMETER],
        "responses": {
            "200": {"description": "The cancelled task.", "content": _json("Task", task)},
            **_problems(404, 409, 503),
        },
    }


def _delete_task() -> dict[str, Any]:
    return {
        "summary": "Remove a finished task",
        "operationId": "deleteTask",
        "tags": ["tasks"],
        "parameters": [_TASK_ID_PARAMETER],
        "responses": {
            "204": {"description": "It is gone, and its id is free."},
            **_problems(404, 409, 503),
        },
    }


def _get_health() -> dict[str, Any]:
    names = ("api", "nats", "executors", "resultstore")
    fine = {"status": "ok", "components": dict.fromkeys(names, "healthy")}
    return {
        "summary": "The health of every part",
        "operationId": "getHealth",
        "tags": ["operations"],
        "responses": {
            "200": {"description": "All parts work.", "content": _json("Health", fine)},
            "503": {"description": "Some part does not.", "content": _json("Health", None)},
        },
    }


def _get_metrics() -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}, **_json("Snapshot", None)}
    return {
        "summary": "Metrics, as Prometheus text or as JSON",
        "operationId": "getMetrics",
        "tags": ["operations"],
        "responses": {"200": {"description": "The figures.", "content": content}},
    }


def _probe(summary: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "tags": ["operations"],
        "responses": {"200": {"description": "Yes."}, "503": {"description": "No."}},
    }


def _problems(*statuses: int) -> dict[str, Any]:
    content = {CONTENT_TYPE: {"schema": _ref("Problem")}}
    names = {
        400: "The body is not JSON.",
        404: "No such task or batch.",
        409: "The task's state, or its key's earlier use, does not allow it.",
        413: "The body is too large.",
        415: "The body is not declared as JSON.",
        422: "The input is not valid; `errors` names each field.",
        429: "The queue is full; try again after `Retry-After` seconds.",
        503: "The broker is unavailable; try again after `Retry-After` seconds.",
    }
    return {str(s): {"description": names[s], "content": content} for s in statuses}


def _json(schema: str, example: dict[str, Any] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": _ref(schema)}
    if example is not None:
        body["example"] = example
    return {"application/json": body}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}
