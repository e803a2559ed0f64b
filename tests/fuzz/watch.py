"""Watches services: alive, and with nothing in their logs that somebody would have to look at."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from tests.support.services import Service

_TROUBLE = frozenset({"ERROR", "CRITICAL"})


class Watch:
    """Reads on in the services' logs from where it stopped the last time."""

    def __init__(self, *services: Service, expected: Collection[str] = ()) -> None:
        """Take the services, and the events of errors that are no news."""
        self._services = services
        self._expected = frozenset(expected)
        self._read = dict.fromkeys((service.log_file for service in services), 0)

    @contextmanager
    def over(self) -> Iterator[None]:
        """Check after the block, also after a failure in it: the log says more than it does."""
        try:
            yield
        finally:
            self.check()

    def check(self) -> None:
        """Fail if a service has died, or has logged an error since the last time."""
        for service in self._services:
            lines = self._new_lines(service)
            assert service.process.poll() is None, f"died:\n{lines[-1:]}"
            trouble = [line for line in lines if self._is_trouble(line)]
            assert not trouble, json.dumps(trouble[0], indent=2).replace("\\n", "\n")

    def _new_lines(self, service: Service) -> list[dict[str, object]]:
        with service.log_file.open("rb") as log:
            log.seek(self._read[service.log_file])
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read[service.log_file] += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def _is_trouble(self, line: dict[str, object]) -> bool:
        return line["level"] in _TROUBLE and line["event"] not in self._expected
