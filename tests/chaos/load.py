"""Sends the planned tasks at their times, and keeps what each client was told."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from nats.aio.client import Client as NatsClient

from tests.chaos.circuits import circuit
from tests.chaos.clients import Answer, HttpClient, submit_over_nats
from tests.chaos.facts import Submitted
from tests.chaos.plan import Plan, Sending

GIVE_UP_S = 120.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0


class Load:
    """All clients of a run; `submitted` is what they know."""

    def __init__(self, plan: Plan, http: HttpClient, nc: NatsClient) -> None:
        self._plan = plan
        self._http = http
        self._nc = nc
        self._start = 0.0
        self.submitted: list[Submitted] = []

    async def run(self) -> None:
        """Send everything; returns once every client has its last answer or has given up."""
        self._start = time.monotonic()
        await asyncio.gather(*(self._play(sending) for sending in self._plan.sendings))

    async def _play(self, sending: Sending) -> None:
        await asyncio.sleep(self._start + sending.at_s - time.monotonic())
        doors = {
            "plain": self._plainly,
            "keyed": self._with_key,
            "nats": self._over_nats,
            "half": self._hanging_up,
            "hangup": self._hanging_up,
        }
        submitted = await doors[sending.door](sending)
        if submitted.is_accepted and submitted.task_ids:
            await asyncio.gather(self._cancel(sending, submitted), self._read(sending, submitted))

    def _new(self, sending: Sending, suffix: str = "") -> Submitted:
        name = f"{self._plan.seed}-{sending.index}-{sending.kind}{suffix}"
        submitted = Submitted(name, sending.index, sending.kind, sending.door)
        self.submitted.append(submitted)
        return submitted

    async def _plainly(self, sending: Sending) -> Submitted:
        """Without a key, trying again may make another task: each try has a name of its own."""
        turn = 0
        async for _ in _tries():
            submitted = self._new(sending, f".{turn}" if turn else "")
            answer = await self._http.submit(sending.gateway + turn, _body(sending, submitted))
            if _take(submitted, answer) or not answer.may_improve:
                return submitted
            submitted.was_tried_anew = True
            turn += 1
        submitted.was_tried_anew = False
        return submitted

    async def _with_key(self, sending: Sending) -> Submitted:
        """With a key, the same request goes to whichever gateway answers, until one does."""
        submitted = self._new(sending)
        body = _body(sending, submitted)

        async def submit(turn: int) -> Answer:
            return await self._http.submit(sending.gateway + turn, body, submitted.name)

        await self._until_taken(submitted, submit)
        await self._again(sending, submitted, submit)
        return submitted

    async def _over_nats(self, sending: Sending) -> Submitted:
        """The same id again is the same task, so this client too just tries again."""
        submitted = self._new(sending)
        submitted.task_ids.append(submitted.name)
        payload = _payload(sending, submitted)

        async def submit(_: int) -> Answer:
            answer = await submit_over_nats(self._nc, submitted.name, payload)
            return Answer(answer.status, answer.label, {"task_id": submitted.name})

        await self._until_taken(submitted, submit)
        await self._again(sending, submitted, submit)
        return submitted

    async def _again(
        self,
        sending: Sending,
        submitted: Submitted,
        submit: Callable[[int], Awaitable[Answer]],
    ) -> None:
        if submitted.is_accepted and sending.again_after_s is not None:
            await asyncio.sleep(sending.again_after_s)
            await self._until_taken(submitted, submit)

    async def _until_taken(
        self, submitted: Submitted, submit: Callable[[int], Awaitable[Answer]]
    ) -> None:
        turn = len(submitted.answers)
        async for _ in _tries():
            answer = await submit(turn)
            if _take(submitted, answer) or not answer.may_improve:
                return
            turn += 1

    async def _hanging_up(self, sending: Sending) -> Submitted:
        submitted = self._new(sending)
        part = 0.5 if sending.door == "half" else 1.0
        with suppress(OSError):
            await self._http.hang_up(sending.gateway, _body(sending, submitted), part=part)
        return submitted

    async def _cancel(self, sending: Sending, submitted: Submitted) -> None:
        """Cancel, asking again until there is a clear answer."""
        if sending.cancel_after_s is None:
            return
        await asyncio.sleep(sending.cancel_after_s)
        turn = sending.gateway
        submitted.is_cancel_asked = True
        async for _ in _tries():
            answer = await self._http.cancel(turn, submitted.task_ids[0])
            if not answer.may_improve:
                submitted.cancel = answer.status
                return
            turn += 1

    async def _read(self, sending: Sending, submitted: Submitted) -> None:
        """Read once; an accepted task is never unknown, and what is final stays so."""
        if sending.read_after_s is None:
            return
        await asyncio.sleep(sending.read_after_s)
        answer = await self._http.read(sending.gateway + 1, submitted.task_ids[0])
        if not answer.may_improve:
            submitted.reads.append(str(answer.body.get("status", answer.status)))


async def _tries() -> AsyncIterator[None]:
    """Yield for each try, with growing pauses, until it is time to give up."""
    deadline = time.monotonic() + GIVE_UP_S
    pause_s = _FIRST_PAUSE_S
    while time.monotonic() < deadline:
        yield
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _take(submitted: Submitted, answer: Answer) -> bool:
    """Note an answer; tell whether the task is accepted."""
    submitted.answers.append(answer.label)
    if answer.status != 202:
        return False
    submitted.is_told(answer.body["task_id"])
    return True


def _body(sending: Sending, submitted: Submitted) -> dict[str, object]:
    return circuit(sending.kind, sending.index).submission(submitted.name)


def _payload(sending: Sending, submitted: Submitted) -> bytes:
    """JSON, or for every other broken circuit the bare text, which has no name in it."""
    if sending.kind == "broken" and sending.index % 2:
        return circuit(sending.kind, sending.index).qc.encode()
    return json.dumps(_body(sending, submitted)).encode()
