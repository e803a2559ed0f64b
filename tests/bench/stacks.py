"""Fresh stacks to measure."""

import asyncio
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.processes import tree
from tests.support.stack import RunningStack, running_stack
from tests.support.waiting import wait_until

_EXECUTORS = re.compile(r"metrics +(\S+) +executor-\d+$", re.MULTILINE)
_IDLE = re.compile(r'^qjet_sandboxes\{state="idle"\} (\S+)$', re.MULTILINE)
_WARM_S = 60.0


@contextmanager
def fresh_stack(*arguments: str, **settings: object) -> Iterator[RunningStack]:
    """Run `qjet up` on free ports and an empty folder; `settings` become QJET_* variables.

    It is ready with its first sandbox; here it starts when all are warm.
    """
    environ = {f"QJET_{name.upper()}": str(value) for name, value in settings.items()}
    with (
        TemporaryDirectory(prefix="qjet-bench-") as folder,
        running_stack(Path(folder), *arguments, environ=environ) as stack,
    ):
        warm = wait_until(lambda: _is_warm(stack), "all sandboxes are warm", timeout_s=_WARM_S)
        asyncio.run(warm)
        yield stack


def _is_warm(stack: RunningStack) -> bool:
    started = sum(len(tree(pid)) for pid in stack.pids("qjet_executor"))
    return 0 < started == sum(_idle(url) for url in _EXECUTORS.findall(stack.output))


def _idle(url: str) -> float:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            found = _IDLE.search(response.read().decode())
    except OSError:  # too busy starting to answer
        return 0.0
    return float(found[1]) if found else 0.0
