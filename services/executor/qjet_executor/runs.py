"""Runs a task in a sandbox: in the room it needs, beside others or by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec import Struct

from qjet_executor import delivery as fate
from qjet_executor import outcomes
from qjet_executor.child import Sandbox, SandboxDiedError
from qjet_executor.hands import Hand, HandBack
from qjet_executor.need import Need, need_of
from qjet_executor.placement import NeedsMoreError, Placement
from qjet_executor.pool import Pool
from qjet_executor.protocol import Job, Outcome, Phases, Room
from qjet_executor.refusals import out_of_memory
from qjet_executor.seats import Seats
from qjet_executor.settings import ExecutorSettings
from qjet_shared import subjects
from qjet_shared.clock import utc_now
from qjet_shared.messages.notices import Event, RunningTask
from qjet_shared.messages.submission import Submission
from qjet_shared.messages.task import Ended, Task, TaskError

_SEAT_PATIENCE_S: Final = 5.0


class _HeldUp(Exception):  # noqa: N818  # not an error: the task is run in another sandbox
    """Another task used up the sandbox before this one was started in it."""


class Finished(Struct, frozen=True, kw_only=True):
    """What a delivery came to: the final task, and the outcome whose counts it carries."""

    task: Task
    outcome: Outcome | None = None


class Runs:
    """The tasks that run on this executor."""

    def __init__(  # noqa: PLR0913  # all by name
        self,
        *,
        pool: Pool,
        seats: Seats,
        settings: ExecutorSettings,
        instance: str,
        announce: Callable[[str, bytes], None],
        was_cancelled: Callable[[str], Awaitable[bool]],
    ) -> None:
        """Take the parts, how to announce an event, and how to ask whether a task is cancelled."""
        self._pool = pool
        self._seats = seats
        self._settings = settings
        self._instance = instance
        self._announce = announce
        self._was_cancelled = was_cancelled
        self._placement = Placement(settings.memory_plan, settings.cores)
        self._running: dict[str, RunningTask] = {}

    @property
    def running(self) -> tuple[RunningTask, ...]:
        """The tasks in sandboxes now."""
        return tuple(self._running.values())

    @property
    def is_tight(self) -> bool:
        """Whether there was not enough memory for some task, and none has become free since."""
        return self._placement.is_tight

    async def run(self, hand: Hand, submission: Submission) -> Finished | None:
        """Run a task in the room it seems to need, and again where that was too little, or held up.

        Returns None where it is not for this delivery to end it.

        Raises:
            HandBack: it should be tried again, here or elsewhere.
        """
        need = need_of(submission)
        while True:
            try:
                return await self._try(hand, submission, need)
            except NeedsMoreError as exc:
                need = msgspec.structs.replace(
                    need, memory_mb=exc.memory_mb, is_short=False, is_long=True
                )
            except _HeldUp:
                need = msgspec.structs.replace(need, is_short=False)

    async def _try(self, hand: Hand, submission: Submission, need: Need) -> Finished | None:
        if (room := self._placement.own_room(need)) is not None:
            return await self._seat(hand, submission, need, room)
        async with self._placement.room_for(need) as room:
            return await self._seat(hand, submission, need, room)

    async def _seat(
        self, hand: Hand, submission: Submission, need: Need, room: Room
    ) -> Finished | None:
        """Run it in a sandbox that it has for itself or, where it is short, shares with others."""
        shares = need.is_short and self._seats.rides > 1
        lane = hand.delivery.lane
        sandbox = self._pool.take_now(lane, shares=shares) or await self._free_one(
            lane, shares=shares
        )
        hand.sandbox = sandbox
        try:
            if await self._was_cancelled(hand.delivery.task_id):
                return None
            return await self._simulate(hand, submission, sandbox, room)
        finally:
            hand.sandbox = None
            if sandbox.unfit_for and not shares:
                await sandbox.kill()  # its memory is free before somebody else is granted it
            self._pool.give_back(sandbox)

    async def _free_one(self, lane: str, *, shares: bool) -> Sandbox:
        """Wait for a sandbox; where none gets free soon, somebody else may have one."""
        try:
            async with asyncio.timeout(_SEAT_PATIENCE_S):
                return await self._pool.take(lane, shares=shares)
        except TimeoutError as exc:
            raise HandBack("not_started", "No sandbox was free.") from exc

    async def _simulate(
        self, hand: Hand, submission: Submission, sandbox: Sandbox, room: Room
    ) -> Finished | None:
        timeout_s = submission.timeout_s or self._settings.task_timeout_s
        hand.job = _job(submission, room)
        try:
            outcome = await sandbox.run(
                hand.job, timeout_s=timeout_s, on_start=lambda: self._show_as_running(hand)
            )
        except TimeoutError:
            return self.failed(hand, submission, fate.time_limit(timeout_s))
        except SandboxDiedError as exc:
            if exc.reason == "bystander":
                raise _HeldUp from exc
            return self._after_death(hand, submission, exc, room)
        finally:
            self._running.pop(hand.delivery.task_id, None)
        if outcome.needs_mb:
            raise NeedsMoreError(outcome.needs_mb)
        self._take_note(hand)
        if outcome.error:
            return self.failed(hand, submission, outcome.error, outcome.phases)
        task = outcomes.completed(
            hand.delivery,
            submission,
            outcome,
            executor=self._instance,
            started_at=hand.started_at or utc_now(),
        )
        return Finished(task=task, outcome=outcome)

    def _after_death(
        self, hand: Hand, submission: Submission, death: SandboxDiedError, room: Room
    ) -> Finished | None:
        """Decide on a task whose sandbox died under it."""
        if death.reason == "cancelled":
            return None
        if death.reason == "memory":
            return self.failed(hand, submission, out_of_memory(room.memory_mb))
        delay_s = fate.retry_after_death(
            hand.delivery, death.reason, max_attempts=self._settings.max_attempts
        )
        if delay_s is not None:
            ended: Ended = "killed" if death.reason == "killed" else "crashed"
            raise HandBack(ended, str(death), delay_s=delay_s) from death
        return self.failed(hand, submission, fate.sandbox_crashed(str(death), hand.delivery))

    def _take_note(self, hand: Hand) -> None:
        """Learn from a small task how long such take."""
        if hand.delivery.lane == subjects.DEFAULT_LANE and hand.started_at:
            self._seats.took((utc_now() - hand.started_at).total_seconds())

    def _show_as_running(self, hand: Hand) -> None:
        """Announce that a task runs, and list it in the heartbeats."""
        hand.started_at = utc_now()
        running = RunningTask(
            task_id=hand.delivery.task_id,
            started_at=hand.started_at,
            attempt=hand.delivery.attempt,
        )
        self._running[running.task_id] = running
        event = Event(
            task_id=running.task_id,
            status="running",
            at=running.started_at,
            executor=self._instance,
            attempt=running.attempt,
        )
        subject = subjects.event(running.task_id, "running")
        self._announce(subject, msgspec.json.encode(event))

    def failed(
        self,
        hand: Hand,
        submission: Submission | None,
        error: TaskError,
        phases: Phases | None = None,
    ) -> Finished:
        """Return the end of a task with an error; where nothing is known of it, without more."""
        task = outcomes.failed(
            hand.delivery,
            submission,
            error,
            executor=self._instance,
            started_at=hand.started_at,
            phases=phases,
        )
        return Finished(task=task)


def _job(submission: Submission, room: Room) -> Job:
    return Job(
        qc=submission.qc,
        shots=submission.shots,
        seed=submission.seed,
        method=submission.method,
        memory=submission.memory,
        precision=submission.precision,
        method_options=submission.method_options,
        noise_model=submission.noise_model,
        observables=submission.observables,
        parameters=submission.parameters,
        fallback=submission.fallback,
        room=room,
    )
