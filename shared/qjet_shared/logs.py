"""Logs as JSON lines on standard output: constant event names, everything else in `extra`."""

import json
import logging
import math
import sys
from datetime import UTC, datetime

_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Write one record as one line of JSON."""

    def __init__(self, service: str, instance: str) -> None:
        """Take what every line of this process says of its origin."""
        super().__init__()
        self._origin = {"service": service, "instance": instance}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its newline."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            "logger": record.name,
            **self._origin,
        }
        line |= {k: v for k, v in vars(record).items() if k not in _OWN_ATTRIBUTES}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({k: _finite(v) for k, v in line.items()}, default=str)


def _finite(value: object) -> object:
    """Return what JSON has a form for: NaN and the infinities become text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def configure_logging(*, service: str, instance: str, level: str) -> None:
    """Send this process's logs to standard output.

    Client libraries speak from WARNING on, at every level of ours.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service, instance))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("nats", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
