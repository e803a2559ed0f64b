"""Where and with what a bench ran."""

import os
import platform
import re
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qjet.up.nats_server import find_server

_PACKAGES = (
    *("qjet", "qiskit", "qiskit-aer", "qiskit-qasm3-import", "numpy"),
    *("nats-py", "aiohttp", "uvloop", "msgspec", "celery", "redis", "fastapi", "uvicorn"),
)
_MODEL = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)


def describe() -> dict[str, Any]:
    """Describe processor, kernel and memory."""
    found = _MODEL.search(Path("/proc/cpuinfo").read_text())
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": found[1] if found else platform.machine(),
        "cores": os.cpu_count(),
        "cores_used": len(os.sched_getaffinity(0)),
        "memory_mib": pages >> 20,
        "kernel": platform.release(),
        "load_before": os.getloadavg(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def versions() -> dict[str, str]:
    """Return the version of all that was measured or measured with, and of the code."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found["nats-server"] = _said([str(find_server()), "--version"])
    found["commit"] = _said(["git", "describe", "--always", "--dirty"])
    return found


def _said(command: list[str]) -> str:
    folder = Path(__file__).parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
