"""Fresh stacks to measure."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.stack import RunningStack, running_stack


@contextmanager
def fresh_stack(*arguments: str, **settings: object) -> Iterator[RunningStack]:
    """Run `qjet up` on free ports and an empty folder; `settings` become QJET_* variables."""
    environ = {f"QJET_{name.upper()}": str(value) for name, value in settings.items()}
    with (
        TemporaryDirectory(prefix="qjet-bench-") as folder,
        running_stack(Path(folder), *arguments, environ=environ) as stack,
    ):
        yield stack
