"""Any program ends as counts, as a typed error, or at its time limit; its sandbox lives on."""

import asyncio
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st

from qjet_executor.child import Sandbox, SandboxDiedError
from qjet_executor.protocol import Job, Outcome
from qjet_shared.messages.submission import Submission
from qjet_shared.messages.task import ErrorCode, TaskError
from tests.fuzz.conftest import FUZZ
from tests.fuzz.options import OPTIONS
from tests.fuzz.programs import methods, programs

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),  # a body may be long
]

MEMORY_MB: Final = 256
FIELD_TYPES: Final = get_type_hints(Submission, include_extras=True)
TIMEOUT_S: Final = 4.0
_FROM_INSIDE: Final = re.compile(
    r"Traceback|site-packages|\.py\b|\.rs\b|\.hpp\b|/(?:usr|home|tmp|root|opt|work)/|0x[0-9a-f]{8}"
)
"""Signs of where the code runs, and of what it is made of."""

_BARE_EXCEPTION: Final = re.compile(
    r"object has no attribute|object is not|unhashable|unsupported operand|positional argument"
    r"|unexpected keyword|NoneType|(?:list|tuple|string) index|cannot unpack|not all arguments"
    r"|\b[A-Z]\w+Error\b"
)
"""Signs that a Python exception went through to the user as it was."""


class Warm:
    """A sandbox that is there whenever it is wanted, and the loop it lives on."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._sandbox: Sandbox | None = None

    def run(self, job: Job) -> Outcome:
        """Run a job in a sandbox; raises as `Sandbox.run`."""
        return self._runner.run(self._run(job))

    def close(self) -> None:
        """End the sandbox."""
        self._runner.run(self._replace())
        self._runner.close()

    async def _run(self, job: Job) -> Outcome:
        if self._sandbox is None or self._sandbox.unfit_for:
            await self._replace()
            self._sandbox = await Sandbox.start(memory_mb=MEMORY_MB, threads=1)
        return await self._sandbox.run(job, timeout_s=TIMEOUT_S)

    async def _replace(self) -> None:
        if self._sandbox:
            await self._sandbox.kill()


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    sandbox = Warm()
    yield sandbox
    sandbox.close()


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    method = draw(st.just("automatic") | methods)
    is_slow = method == "extended_stabilizer"  # some tenths of a second a shot
    options = draw(_options())
    return Job(
        qc=draw(programs),
        shots=1 if is_slow else draw(st.sampled_from([1, 7, 64])),
        seed=draw(st.sampled_from([None, 0, 2**63 - 1])),
        method=method,
        memory=draw(st.booleans()),
        **options,
    )


@st.composite
def _options(draw: st.DrawFn) -> dict[str, Any]:
    """Draw up to two options that a gateway would let through."""
    names = draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=2, unique=True))
    options = {}
    for name in names:
        with suppress(msgspec.ValidationError):
            options[name] = msgspec.convert(draw(OPTIONS[name]), FIELD_TYPES[name])
    return options


def check_error(error: TaskError, source: str) -> None:
    """Fail unless the error says something, of the program alone."""
    assert error.code in get_args(ErrorCode)
    assert error.message.strip()
    for signs in (_FROM_INSIDE, _BARE_EXCEPTION):
        found = signs.search(error.message)
        assert not found or found[0] in source, error
    if error.line is not None:
        lines = source.split("\n")
        assert 1 <= error.line <= len(lines), error
        assert 1 <= (error.column or 1) <= len(lines[error.line - 1]) + 1, error


def check_outcome(outcome: Outcome, job: Job) -> None:
    """Fail unless there are counts at each point, and a value for each observable."""
    is_sweep = isinstance(job.parameters, tuple)
    points = len(job.parameters or ()) if is_sweep else 1
    counts, memory, values = (
        json.loads(text) if text else None
        for text in (outcome.counts, outcome.memory, outcome.expectation_values)
    )
    assert counts or values
    for point in range(points):
        if counts:
            check_counts(
                *((each[point] if is_sweep and each else each) for each in (counts, memory)), job
            )
        if values:
            check_values(values[point] if is_sweep else values, job)


def check_values(values: list[dict[str, float]], job: Job) -> None:
    """Fail unless each observable has a finite value and error."""
    assert len(values) == (1 if isinstance(job.observables, dict) else len(job.observables or ()))
    assert all(math.isfinite(number) for each in values for number in each.values())


def check_counts(counts: dict[str, int], memory: list[str] | None, job: Job) -> None:
    """Fail unless the counts are those of so many shots."""
    assert counts
    assert sum(counts.values()) == job.shots
    assert len({len(outcome) for outcome in counts}) == 1
    assert all(set(bits) <= set("01 ") for bits in counts)
    assert (memory is not None) == job.memory
    if memory:
        assert Counter(memory) == counts


@FUZZ
@given(jobs())
def test_any_program_ends_with_counts_or_a_typed_error(warm, job):
    """It neither kills its sandbox nor tells of its insides; only time and memory may run out."""
    note(repr(job))
    try:
        outcome = warm.run(job)
    except TimeoutError:
        event("time limit")
    except SandboxDiedError as exc:
        event(f"died: {exc.reason}")
        assert exc.reason == "memory", exc
    else:
        event(outcome.error.code if outcome.error else "counts")
        if outcome.error:
            check_error(outcome.error, job.qc)
        else:
            check_outcome(outcome, job)
