"""`make chaos`: kill, stop and restart real processes at random under load, then count.

Starts `qjet up` with two executors, and a second gateway beside it; sends the tasks of a plan
(`plan.py`) by several doors while its faults strike; waits until all is settled; reads what the
broker holds with a plain NATS client; and judges that (`check.py`). Exits 1 on any violation and
then keeps the logs. A seed repeats a plan; see `plan.py` for what that does not determine.
"""

import argparse
import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import nats
from nats.aio.client import Client as NatsClient

from qjet.up.process import Program, Supervised
from tests.chaos import report
from tests.chaos.check import check
from tests.chaos.clients import ANSWER_WITHIN_S, HttpClient
from tests.chaos.facts import Facts
from tests.chaos.faults import Faults, Struck
from tests.chaos.load import Load
from tests.chaos.plan import Plan, make_plan
from tests.chaos.witness import Witness
from tests.support.stack import RunningStack, running_stack

ACK_WAIT_S = 3.0
PATIENCE_S = 60.0
ENVIRON = {
    "QJET_ACK_WAIT_S": str(ACK_WAIT_S),
    "QJET_SANDBOXES": "2",
    "QJET_DRAIN_S": "3",
    # A task may be hit by any number of faults here; none may end it.
    "QJET_MAX_ATTEMPTS": "1000",
    "QJET_MAX_DELIVERIES": "1000",
}


async def play(plan: Plan, stack: RunningStack) -> tuple[Facts, list[Struck]]:
    """Carry out the plan and return what came of it."""
    async with AsyncExitStack() as context:
        gateway, url = await context.enter_async_context(_second_gateway(stack))
        session = await context.enter_async_context(_session())
        witness = Witness(await context.enter_async_context(_client(stack.nats)))
        nc = await context.enter_async_context(_client(stack.nats))
        load = Load(plan, HttpClient(session, [stack.http, url]), nc)
        faults = Faults(plan, stack, lambda: _pid(gateway), _say)
        await witness.listen()
        await asyncio.gather(load.run(), faults.run())
        known = {task_id for one in load.submitted if one.is_accepted for task_id in one.task_ids}
        _say(f"{len(known)} tasks accepted; waiting until all is settled")
        start = time.monotonic()
        is_settled = await witness.settled(known, PATIENCE_S)
        how = "settled" if is_settled else "NOT settled"
        _say(f"{how} after {time.monotonic() - start:.1f} s")
        await witness.read()
    longest_s = max(fault.lasts_s for fault in plan.faults)
    _say(f"deliveries by the broker: {witness.deliveries}")
    deaths = [moment for struck in faults.struck for moment in struck.broker_deaths]
    facts = Facts(load.submitted, witness.kept, witness.overwritten, longest_s, deaths, is_settled)
    return facts, faults.struck


@asynccontextmanager
async def _second_gateway(stack: RunningStack) -> AsyncIterator[tuple[Supervised, str]]:
    """Keep another gateway running on the stack's broker, as a second host would."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environ = {
            "QJET_NATS_URL": stack.nats,
            "QJET_LISTEN_FD": str(listener.fileno()),
        }
        program = Program(
            name="gateway-2",
            argv=(sys.executable, "-m", "qjet_gateway"),
            environ={**os.environ, **ENVIRON, **environ},
            log_file=stack.data_dir / "logs" / "gateway-2.log",
            inherit=(listener.fileno(),),
        )
        gateway = Supervised(program, _say)
        await gateway.start()
        try:
            yield gateway, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            await gateway.stop()


def _pid(supervised: Supervised) -> int:
    process = supervised._process
    return process.pid if process and process.returncode is None else 0


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[NatsClient]:
    """Connect for the whole run, across every restart of the broker."""
    nc = await nats.connect(
        url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_ignore
    )
    try:
        yield nc
    finally:
        await nc.close()


async def _ignore(_: Exception) -> None:
    """Connections break all the time here."""


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S),
        connector=aiohttp.TCPConnector(limit=0),
    )


def _say(text: str) -> None:
    print(text, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--report", type=Path, help="write all facts there, as JSON")
    return parser.parse_args()


def main() -> int:
    """Run once and say what came of it."""
    arguments = _arguments()
    plan = make_plan(arguments.seed, arguments.tasks, ack_wait_s=ACK_WAIT_S)
    last_s = max(sending.at_s for sending in plan.sendings)
    _say(
        f"seed {plan.seed}: {len(plan.sendings)} tasks in {last_s:.0f} s, {len(plan.faults)} faults"
    )
    folder = Path(tempfile.mkdtemp(prefix="qjet-chaos-"))
    with running_stack(folder, "--executors", "2", environ=ENVIRON) as stack:
        facts, struck = asyncio.run(play(plan, stack))
    violations = check(facts)
    for line in report.lines(facts, violations):
        _say(line)
    if arguments.report:
        report.write(arguments.report, plan, struck, facts, violations)
    if violations:
        _say(f"again: make chaos CHAOS='--seed {plan.seed} --tasks {len(plan.sendings)}'")
        _say(f"logs:  {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
