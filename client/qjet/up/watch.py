"""Watches the embedded broker, which goes on living, but refuses to work, after a full disk.

From the first write that failed, nats-server leaves every publish to that stream without an
answer until it is started again. Its health check says so.

Source: nats-server 2.15 `server/filestore.go` (setWriteErr) and `server/monitor.go` (healthz).
"""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

_LOOK_EVERY_S: Final = 1.0
_ENOUGH_BYTES: Final = 32 << 20
"""Free space with which starting the broker again is worth it."""


class BrokerWatch:
    """Has a broker that cannot write started again, once there is room."""

    def __init__(
        self,
        *,
        monitor_url: str,
        data_dir: Path,
        restart: Callable[[], None],
        report: Callable[[str], None],
    ) -> None:
        """Take where to look, and how to act and to tell people."""
        self._url = f"{monitor_url}/healthz"
        self._data_dir = data_dir
        self._restart = restart
        self._report = report
        self._was_fine = False
        self._said = ""

    async def run(self) -> None:
        """Look again and again, for ever."""
        async with httpx.AsyncClient(timeout=5) as http:
            while True:
                try:
                    self._judge((await http.get(self._url)).text)
                except httpx.TransportError:  # it is being started again
                    self._was_fine = False
                await asyncio.sleep(_LOOK_EVERY_S)

    def _judge(self, answer: str) -> None:
        trouble = stuck(answer, was_fine=self._was_fine)
        if trouble is None:
            self._was_fine = self._was_fine or '"ok"' in answer
            self._said = ""
            return
        if trouble != self._said:
            self._said = trouble
            self._report(f"nats-server cannot write ({trouble}); it is started again with room to")
        if _free_bytes(self._data_dir) >= _ENOUGH_BYTES:
            self._was_fine = False
            self._restart()


def stuck(answer: str, *, was_fine: bool) -> str | None:
    """Return why a broker that answers its health check so needs to be started again, if it does.

    `was_fine` tells whether its JetStream was on before: while it starts, it is off, too.
    """
    try:
        error = str(json.loads(answer).get("error", ""))
    except (json.JSONDecodeError, AttributeError):
        return None
    if "write error" in error:
        return error.split("write error: ", 1)[-1]
    return error if was_fine and "not enabled" in error else None


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
