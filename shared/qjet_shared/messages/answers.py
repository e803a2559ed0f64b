"""What a submission or another request is answered with, beside a task."""

from msgspec import Struct


class Accepted(Struct, frozen=True, kw_only=True):
    """The answer to a submission that is on disk."""

    task_id: str
    message: str = "Task submitted successfully."


class FieldProblem(Struct, frozen=True):
    """One field of the input and what is wrong with it."""

    field: str
    message: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error outside a task. Source: RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldProblem, ...] = ()
