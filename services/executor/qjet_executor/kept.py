"""Keeps what was made for earlier jobs, as much as fits. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values by key, within a number of bytes; those not used for the longest time go first."""

    def __init__(self, most_bytes: int) -> None:
        """Keep nothing yet."""
        self._most_bytes = most_bytes
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Count the values that are kept."""
        return len(self._values)

    def get(self, key: K, make: Callable[[], tuple[V, int]]) -> V:
        """Return the value of `key`; if it is not kept, `make` it, and say how many bytes it takes.

        A value that takes more than there is room for is not kept.
        """
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key][0]
        value, size = make()
        if size <= self._most_bytes:
            self._values[key] = value, size
            self._bytes += size
        while self._bytes > self._most_bytes:
            _, (_, freed) = self._values.popitem(last=False)
            self._bytes -= freed
        return value

    def clear(self) -> None:
        """Drop everything."""
        self._values.clear()
        self._bytes = 0
