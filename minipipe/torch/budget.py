"""How much memory is pinned, and which of it is let go for more: the least recently used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class PinnedBudget(Generic[Key]):
    """What is pinned, by key, least recently used first; never more than `limit_bytes`."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._sizes: OrderedDict[Key, int] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._sizes

    def used(self, key: Key) -> None:
        """Books that what is pinned under a key is used now."""
        self._sizes.move_to_end(key)

    def room_for(self, size_bytes: int, busy: Container[Key]) -> list[Key] | None:
        """Returns what is to be let go so that so much fits in; None if it cannot.

        Args:
            size_bytes: To be pinned.
            busy: Keys of what must not be let go now.
        """
        needed = self.used_bytes + size_bytes - self.limit_bytes
        found: list[Key] = []
        if size_bytes > self.limit_bytes:
            return None
        for key, size in self._sizes.items():
            if needed <= 0:
                break
            if key not in busy:
                found.append(key)
                needed -= size
        return found if needed <= 0 else None

    def add(self, key: Key, size_bytes: int) -> None:
        """It is pinned now."""
        assert key not in self._sizes and self.used_bytes + size_bytes <= self.limit_bytes
        self._sizes[key] = size_bytes
        self.used_bytes += size_bytes

    def remove(self, key: Key) -> None:
        """It is pinned no more."""
        self.used_bytes -= self._sizes.pop(key)

    def refused(self) -> None:
        """The driver pins no more than there is: nor is it asked to, from now on."""
        self.limit_bytes = self.used_bytes
