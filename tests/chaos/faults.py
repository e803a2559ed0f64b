"""Does the planned faults to the real processes, and keeps what was done to whom."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.chaos.plan import Fault, Plan
from tests.support.stack import RunningStack, descendants
from tests.support.waiting import wait_until

_FIND_WITHIN_S = 15.0
_HOLD_PAUSE_S = 0.1
_SANDBOX = "qjet_executor.sandbox"
_PROGRAMS = {
    "broker": "nats-server",
    "resultstore": "qjet_resultstore",
    "executor": "qjet_executor",
    "gateway": "qjet_gateway",
}


@dataclass
class Struck:
    """A fault that happened: at how many seconds, and to which processes (none: nobody there)."""

    at_s: float
    fault: Fault
    pids: list[int] = field(default_factory=list)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def broker_deaths(self) -> list[datetime]:
        """When it ended the broker: for the first and for the last time."""
        fault = self.fault
        if fault.victim not in {"broker", "all"} or fault.action == "stop":
            return []
        lasts_s = fault.lasts_s if fault.action == "hold down" else 0.0
        return [self.at, self.at + timedelta(seconds=lasts_s)]

    def __str__(self) -> str:
        """Show when, what and whom in one line."""
        fault = self.fault
        lasts = f" for {fault.lasts_s:.1f} s" if fault.action in {"stop", "hold down"} else ""
        who = ", ".join(map(str, self.pids)) or "nobody there"
        return f"{self.at_s:7.2f} s  {fault.action} {fault.victim}{lasts} ({who})"


class Faults:
    """Strikes as planned; `struck` lists what happened, `say` is told each."""

    def __init__(
        self,
        plan: Plan,
        stack: RunningStack,
        other_gateway: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        """Take the victims; `other_gateway` tells the process id of the one beside the stack."""
        self._plan = plan
        self._stack = stack
        self._other_gateway = other_gateway
        self._say = say
        self._start = 0.0
        self.struck: list[Struck] = []

    async def run(self) -> None:
        """Do all faults, each at its time; returns when the last is over."""
        self._start = time.monotonic()
        await asyncio.gather(*(self._strike(fault) for fault in self._plan.faults))

    async def _strike(self, fault: Fault) -> None:
        await asyncio.sleep(self._start + fault.at_s - time.monotonic())
        pids = await self._find(fault)
        struck = Struck(time.monotonic() - self._start, fault, pids)
        self.struck.append(struck)
        self._say(str(struck))
        if fault.action == "stop":
            await _stop_and_go_on(pids, fault.lasts_s)
        elif fault.action == "hold down":
            await self._hold_down(struck)
        else:
            _send(pids, signal.SIGTERM if fault.action == "term" else signal.SIGKILL)

    async def _find(self, fault: Fault) -> list[int]:
        """Return whom to strike: one of several, or all; waits for one that is being started."""
        try:
            pids = await wait_until(
                lambda: self._pids(fault.victim), fault.victim, timeout_s=_FIND_WITHIN_S
            )
        except AssertionError:
            return []
        if fault.victim == "all":
            return pids
        pids = [pid for pid in pids if _is_busy(pid)] or pids
        return [pids[int(fault.pick * len(pids))]]

    def _pids(self, victim: str) -> list[int]:
        if victim == "sandbox":
            executors = self._stack.pids(_PROGRAMS["executor"])
            return sorted(
                pid
                for executor in executors
                for pid, runs in descendants(executor).items()
                if runs == _SANDBOX
            )
        if victim == "all":
            return [pid for name in _PROGRAMS for pid in self._pids(name)]
        other = [self._other_gateway()] if victim == "gateway" else []
        return self._stack.pids(_PROGRAMS[victim]) + [pid for pid in other if pid]

    async def _hold_down(self, struck: Struck) -> None:
        """Kill whenever it comes back, until the time is over."""
        _send(struck.pids, signal.SIGKILL)
        deadline = time.monotonic() + struck.fault.lasts_s
        while time.monotonic() < deadline:
            await asyncio.sleep(_HOLD_PAUSE_S)
            back = [pid for pid in self._pids(struck.fault.victim) if pid not in struck.pids]
            _send(back, signal.SIGKILL)
            struck.pids += back


async def _stop_and_go_on(pids: list[int], seconds: float) -> None:
    """Stop processes as if their machine had frozen; they find out when they go on."""
    _send(pids, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        _send(pids, signal.SIGCONT)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_busy(pid: int) -> bool:
    """Whether a process computes this moment. Source: proc(5), /proc/pid/stat."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "R"
    except OSError:
        return False
