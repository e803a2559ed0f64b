"""What the gateway refuses because of the task it is asked about."""

from qjet_shared.errors import PermanentError


class NotFoundError(PermanentError):
    """No task with this id was ever submitted, or its result has expired or was deleted."""

    def __init__(self) -> None:
        super().__init__("not_found", "No task has this id, or its result has expired.")


class ConflictError(PermanentError):
    """The task's state, or its key's earlier use, does not allow it."""

    def __init__(self, message: str) -> None:
        super().__init__("conflict", message)
