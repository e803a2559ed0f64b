"""A small file system that a command sees alone, to be filled for real."""

import os
from dataclasses import dataclass
from pathlib import Path

_MIB = 1 << 20


@dataclass(frozen=True)
class SmallDisk:
    """A tmpfs on `folder`, in a mount namespace that ends with the command that runs in it."""

    folder: Path
    size_mib: int

    @property
    def launcher(self) -> list[str]:
        """The words before a command that make it run with this file system."""
        mount = f'mount -t tmpfs -o size={self.size_mib}m tmpfs "$0" && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", mount, str(self.folder)]

    def seen_by(self, pid: int) -> Path:
        """Return the file system's path from outside, for the process that runs in it."""
        return Path(f"/proc/{pid}/root{self.folder}")


def free_bytes(folder: Path) -> int:
    """Return how much anybody may still write."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def fill(folder: Path, *, leave_mib: float) -> Path:
    """Write a file that leaves this much, or nothing at all, and return it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, free_bytes(folder) - int(leave_mib * _MIB))
        except OSError:
            assert not leave_mib
    return ballast
