"""How many failures a segment may have before the run stops."""

from __future__ import annotations

import math
from collections.abc import Hashable

LEAST_ITEMS = 100  # a rate says nothing of fewer
LAST = 3  # so many tracebacks are in the error
SAID = 10  # so many failures are said one by one; after that, each time they have doubled


class Budget:
    """Failures of one segment, all its workers together.

    Args:
        limit: a number of failures (a whole number), or a share of the items (below 1), which is
            judged from the 100th item on, or as many as one failure in so many would be within it.
    """

    def __init__(self, limit: int | float) -> None:
        self.limit = limit
        self._failed: set[Hashable] = set()

    @property
    def failures(self) -> int:
        return len(self._failed)

    def failed(self, identity: Hashable) -> bool:
        """Books a failure; False if this item has failed before (it was done again)."""
        before = len(self._failed)
        self._failed.add(identity)
        return len(self._failed) > before

    @property
    def is_said(self) -> bool:
        """Whether the last failure is to be said."""
        count = self.failures
        return count <= SAID or count & (count - 1) == 0

    def is_used_up(self, items: int, *, final: bool = False) -> bool:
        """Whether there were more failures than allowed.

        Args:
            items: what the segment has taken so far, those that failed among them.
            final: that is all.
        """
        if isinstance(self.limit, int):
            return self.failures > self.limit
        if not final and items < max(LEAST_ITEMS, math.ceil(1.0 / self.limit)):
            return False
        return self.failures > self.limit * items

    def __str__(self) -> str:
        return f"max_failures={self.limit!r}"
