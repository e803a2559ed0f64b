"""The embedded broker: finds a nats-server, configures it, knows where it listens.

Source: https://docs.nats.io/running-a-nats-service/configuration
"""

import json
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Final

from msgspec import Struct

OLDEST: Final = (2, 11)
"""The first version with all that the streams use (per-message TTL came last)."""

_CONFIG: Final = """\
# Written by `qjet up` at each start.
server_name: qjet
listen: {listen}
http: "127.0.0.1:{monitor_port}"
log_file: {log_file}
logfile_size_limit: 10MB
ports_file_dir: {run_dir}
jetstream {{
  store_dir: {store_dir}
  # An acknowledged task is on disk, not in a cache.
  sync_interval: always
  # No limit of its own: the resultstore watches the disk and closes the queue before it is full.
  max_file_store: 1PB
}}
"""


class NoServerError(Exception):
    """No usable nats-server; the text says what was looked at."""


class Ports(Struct, frozen=True, kw_only=True):
    """Where a running server listens."""

    client: int
    monitor: int


def find_server() -> Path:
    """Return a nats-server: the one on PATH if it is new enough, else the wheel's.

    Raises:
        NoServerError: neither is there.
    """
    looked_at = []
    for folder in (None, sysconfig.get_path("scripts")):
        found = shutil.which("nats-server", path=folder)
        if found and _version(found) >= OLDEST:
            return Path(found)
        looked_at.append(f"{found} is too old" if found else f"none in {folder or 'PATH'}")
    oldest = ".".join(map(str, OLDEST))
    raise NoServerError(
        f"no nats-server {oldest} or later ({'; '.join(looked_at)}); install 'qjet[embedded]', "
        "put one on PATH, or set QJET_NATS_URL"
    )


def write_config(data_dir: Path, *, host: str, port: int, monitor_port: int) -> Path:
    """Write the server's configuration; port -1 lets it take a free one."""
    run_dir = data_dir / "run"
    run_dir.mkdir(exist_ok=True)
    for stale in run_dir.glob("*.ports"):
        stale.unlink()
    path = data_dir / "nats-server.conf"
    path.write_text(
        _CONFIG.format(
            listen=_quoted(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"),
            monitor_port=monitor_port,
            log_file=_quoted(data_dir / "logs" / "nats-server.log"),
            run_dir=_quoted(run_dir),
            store_dir=_quoted(data_dir / "jetstream"),
        ),
        encoding="utf-8",
    )
    return path


def read_ports(data_dir: Path) -> Ports | None:
    """Return where the server listens, once it has said so."""
    for path in (data_dir / "run").glob("*.ports"):
        try:
            said = json.loads(path.read_text())
        except json.JSONDecodeError:
            return None  # half written
        return Ports(client=_port(said["nats"][0]), monitor=_port(said["monitoring"][0]))
    return None


def _quoted(value: object) -> str:
    """Return a string as the server's configuration language has it: JSON's, in plain UTF-8."""
    return json.dumps(str(value), ensure_ascii=False)


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


def _version(server: str) -> tuple[int, int]:
    try:
        said = subprocess.run(
            [server, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.search(r"v(\d+)\.(\d+)\.", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)
