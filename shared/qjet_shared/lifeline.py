"""Ties a process's life to its parent's, so that a killed parent leaves nobody behind.

`python -m qjet_shared.lifeline PARENT_PID command …` asks the kernel to kill this process when
its parent dies, then becomes `command`. Linux only; elsewhere the command just runs.

Source: prctl(2), PR_SET_PDEATHSIG: kept across execve, cleared on fork.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when `parent_pid` dies; exit if it already has."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        sys.exit("the parent process is gone")


def command(*argv: str) -> list[str]:
    """Return the argument list that runs `argv` as a child whose life hangs on this process's."""
    return [sys.executable, "-m", "qjet_shared.lifeline", str(os.getpid()), *argv]


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  # the argument list is our own parent's
