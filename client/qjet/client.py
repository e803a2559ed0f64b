"""The Python client: submit circuits over HTTP, wait for their counts."""

import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec
import stamina

from qjet_shared.batches import BatchAccepted, BatchState
from qjet_shared.messages.answers import Accepted, Problem
from qjet_shared.messages.task import Task

DEFAULT_URL: Final = "http://127.0.0.1:8000"
_LONGEST_POLL_S: Final = 30.0
_TIMEOUT_S: Final = 10.0

_TRIES: Final = 4
_PASSING: Final = frozenset({"queue_full", "broker_unavailable"})


class Nothing(msgspec.Struct):
    """An answer without content."""


class _Finished(msgspec.Struct):
    """A batch of which nothing is left to wait for."""

    tasks: list[Task]


Answer = TypeVar("Answer", Accepted, Task, BatchAccepted, BatchState, _Finished, Nothing)


class UnreachableError(Exception):
    """The server cannot be reached, or does not speak qjet."""


class RequestError(Exception):
    """The server refused the request; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        fields = "".join(f"\n  {e.field or 'body'}: {e.message}" for e in problem.errors)
        super().__init__(problem.title + fields if fields else problem.detail)
        self.problem = problem


class Client:
    """A connection to one gateway. Use it as a context manager, or close it."""

    def __init__(self, url: str = DEFAULT_URL) -> None:
        """Take the gateway's address.

        Raises:
            ValueError: it is no address.
        """
        self._url = url
        try:
            self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S)
        except httpx.InvalidURL as exc:
            raise ValueError(f"{url!r} is no address: {exc}") from exc

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def submit(self, qc: str, **options: Any) -> str:
        """Hand in OpenQASM with any other field of a submission; return the task id.

        A submission whose answer is lost is sent again, and is still one task.

        Raises:
            RequestError: the submission was refused.
            UnreachableError: no answer, again and again; the task may or may not exist.
        """
        body = msgspec.json.encode({"qc": qc, **options})
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        return self._ask_again(Accepted, "POST", "/tasks", content=body, headers=headers).task_id

    def submit_all(self, submissions: Iterable[Mapping[str, Any]]) -> BatchAccepted:
        """Hand in many circuits, 1,000 at most, with one request: all of them, or none.

        Each is a mapping with `qc` and any other field of a submission.

        Raises as `submit`; a field of the fourth is named `tasks[3].shots`.
        """
        body = msgspec.json.encode({"tasks": list(submissions)})
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        return self._ask_again(BatchAccepted, "POST", "/batches", content=body, headers=headers)

    def get_batch(self, batch_id: str, *, wait_s: float = 0.0) -> BatchState:
        """Return where each task of a batch is, waiting as `get` does for the end of all.

        Raises as `get`.
        """
        return self._ask_again(BatchState, "GET", _batch_path(batch_id), **_waiting(wait_s))

    def run_all(self, submissions: Iterable[Mapping[str, Any]]) -> list[Task]:
        """Submit many and wait for the end of all; return them finished, in their order.

        Raises as `submit_all` and `get`.
        """
        batch_id = self.submit_all(submissions).batch_id
        while self.get_batch(batch_id, wait_s=_LONGEST_POLL_S).counts.unfinished:
            pass
        path = _batch_path(batch_id)
        return self._ask_again(_Finished, "GET", path, params={"results": "true"}).tasks

    def get(self, task_id: str, *, wait_s: float = 0.0) -> Task:
        """Return the task, waiting at most `wait_s` seconds (60 at most) for its end.

        Raises:
            RequestError: there is no such task.
            UnreachableError: no answer.
        """
        return self._ask_again(Task, "GET", _path(task_id), **_waiting(wait_s))

    def cancel(self, task_id: str) -> Task:
        """Cancel a task that has not finished, and return it; twice is fine.

        Raises:
            RequestError: there is no such task, or it had finished.
            UnreachableError: no answer.
        """
        return self._ask_again(Task, "POST", f"{_path(task_id)}/cancel")

    def delete(self, task_id: str) -> None:
        """Remove a finished task.

        Raises:
            RequestError: there is no such task, or it has not finished.
            UnreachableError: no answer.
        """
        self._ask(Nothing, "DELETE", _path(task_id))

    def wait(self, task_id: str, *, timeout_s: float | None = None) -> Task:
        """Return the task once it is final, or as it is after `timeout_s` seconds.

        Raises as `get`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = _LONGEST_POLL_S if deadline is None else deadline - time.monotonic()
            task = self.get(task_id, wait_s=max(0.0, min(left_s, _LONGEST_POLL_S)))
            if task.is_final or (deadline is not None and time.monotonic() >= deadline):
                return task

    def run(self, qc: str, **options: Any) -> Task:
        """Submit and wait for the end. Raises as `submit` and `get`."""
        return self.wait(self.submit(qc, **options))

    def _ask_again(self, kind: type[Answer], method: str, path: str, **rest: Any) -> Answer:
        """Ask; where the server is away or full for a moment, ask again."""
        for attempt in stamina.retry_context(
            on=_may_pass, attempts=_TRIES, wait_initial=0.2, wait_max=1.0, wait_jitter=0.1
        ):
            with attempt:
                return self._ask(kind, method, path, **rest)
        raise AssertionError  # the last attempt returned or raised

    def _ask(self, kind: type[Answer], method: str, path: str, **rest: Any) -> Answer:
        try:
            response = self._http.request(method, path, **rest)
        except httpx.TransportError as exc:
            raise UnreachableError(f"cannot reach {self._url}: {exc}") from exc
        try:
            if response.is_success:
                return msgspec.json.decode(response.content or b"{}", type=kind)
            problem = msgspec.json.decode(response.content, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            status = f"{response.status_code} {response.reason_phrase}"
            raise UnreachableError(f"{self._url} answered {status}, not qjet's way") from exc
        raise RequestError(problem)


def _path(task_id: str) -> str:
    return f"/tasks/{quote(task_id, safe='')}"


def _batch_path(batch_id: str) -> str:
    return f"/batches/{quote(batch_id, safe='')}"


def _waiting(wait_s: float) -> dict[str, Any]:
    """Return how to ask for an answer that may take its time."""
    params = {"wait": wait_s} if wait_s else {}
    return {"params": params, "timeout": _TIMEOUT_S + wait_s}


def _may_pass(exc: Exception) -> bool:
    """Whether to ask again: the server is away, or full."""
    if isinstance(exc, RequestError):
        return exc.problem.code in _PASSING
    return isinstance(exc, UnreachableError)
