"""Names for tasks and processes."""

import os
import secrets
import socket
import time
from uuid import UUID


def new_task_id() -> str:
    """Return a time-ordered UUID: ids made later sort later, to the millisecond.

    Source: RFC 9562, section 5.7 (version 7).
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=value))


def instance_name() -> str:
    """Return a name for this process that other processes on other hosts do not have."""
    host = "".join(c if c.isalnum() or c == "-" else "-" for c in socket.gethostname())
    return f"{host}-{os.getpid()}-{secrets.token_hex(2)}"
