"""Rolling restarts under load: nothing lost, nothing that a retry does not answer."""

import asyncio
import os
import re
import signal
from collections import Counter
from uuid import uuid4

import aiohttp
import pytest

from tests.support.circuits import BELL
from tests.support.stack import RunningStack, running_stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

ORDER = ("qjet_gateway", "qjet_executor", "qjet_resultstore", "nats-server")
SLOW = BELL.replace("h q[0];", "h q[0]; " * 401)
"""Some tenths of a second, most of it reading."""
RETRIES = 60


class Load:
    """Clients that submit and wait, and do as they are told when they are refused."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.tasks: dict[str, str] = {}
        self.retries: Counter[str] = Counter()
        self.is_over = False

    async def client(self, qc: str) -> None:
        while not self.is_over:
            key = str(uuid4())
            accepted = await self._ask("POST", "/tasks", {"Idempotency-Key": key}, qc)
            task = await self._ask("GET", f"/tasks/{accepted['task_id']}?wait=30")
            self.tasks[task["task_id"]] = task["status"]

    async def _ask(self, method: str, path: str, headers: dict | None = None, qc: str = "") -> dict:
        body = {"qc": qc, "shots": 16} if qc else None
        for _ in range(RETRIES):
            try:
                async with self._http.request(method, path, headers=headers, json=body) as response:
                    answer = await response.json(content_type=None)
                    if response.status < 400:
                        return answer
                    assert response.status in (429, 503), answer
                    self.retries[answer["code"]] += 1
                    await asyncio.sleep(int(response.headers["Retry-After"]))
            except aiohttp.ClientConnectionError:
                self.retries["connection"] += 1
                await asyncio.sleep(0.1)
        raise AssertionError(f"{method} {path} failed {RETRIES} times")


async def restart(stack: RunningStack, name: str) -> None:
    """SIGTERM one service, as an upgrade does, and wait until the stack is whole again."""
    pid = stack.children()[name]
    os.kill(pid, signal.SIGTERM)
    await wait_until(lambda: stack.children().get(name, pid) != pid, f"{name} runs again")
    async with aiohttp.ClientSession(stack.http) as http:

        async def is_whole() -> bool:
            try:
                async with http.get("/health") as response:
                    return response.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await wait_until(is_whole, f"all is well after {name}", timeout_s=60)


async def test_a_rolling_restart_of_all_services_under_load_fails_nobody(tmp_path):
    """Each service in turn gets SIGTERM while clients submit: every task ends completed."""
    with running_stack(tmp_path) as stack:
        async with aiohttp.ClientSession(stack.http) as http:
            load = Load(http)
            clients = [asyncio.create_task(load.client(qc)) for qc in (BELL, BELL, SLOW)]
            for name in ORDER:
                done = len(load.tasks)
                await restart(stack, name)
                await wait_until(lambda: len(load.tasks) > done + 5, "tasks flow", timeout_s=60)  # noqa: B023
            load.is_over = True
            await asyncio.wait_for(asyncio.gather(*clients), 90)
        assert set(load.tasks.values()) == {"completed"}
        assert re.findall(r"ended with exit code (\d+)", stack.output) == ["0"] * len(ORDER)
        assert stack.stop() == 0
