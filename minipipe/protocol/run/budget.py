"""How many failures a segment may have before the run stops."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from typing import Final

from minipipe.protocol.delivery.intervals import Interval, IntervalSet
from minipipe.protocol.run.thinning import EverRarer

LEAST_ITEMS = 100  # a rate says nothing of fewer
LAST: Final = 3  # so many tracebacks are in the error
# An item can be done again only until its sender has heard what became of it: a matter of
# milliseconds, and of the credit that it has. So many runs of failures are remembered at least,
# and at most twice as many: an endless stream with a share as its budget would fill the memory.
REMEMBERED = 65_536


class Budget:
    """Failures of one segment, all its workers together.

    Args:
        limit: a number of failures (a whole number), or a share of the items (below 1), which is
            judged from the 100th item on, or as many as one failure in so many would be within it.
    """

    def __init__(self, limit: int | float) -> None:
        self.limit = limit
        self._counter = EverRarer()
        self._young: dict[Hashable, IntervalSet] = {}
        self._old: dict[Hashable, IntervalSet] = {}
        self._booked = 0  # runs among the young

    @property
    def failures(self) -> int:
        return self._counter.count

    def failed(self, count: int = 1) -> None:
        """Books failures of items that cannot be done again."""
        self._counter.more(count)

    def failed_at(self, stream: Hashable, runs: Iterable[Interval]) -> int:
        """Books failures of items that are done again after a death, but for those booked before.

        Args:
            stream: whose numbers they are.
            runs: the numbers.

        Returns how many are new.
        """
        young = self._young.setdefault(stream, IntervalSet())
        old = self._old.get(stream)
        new = 0
        for first, stop in runs:
            for gap in young.missing(first, stop):
                for low, high in [gap] if old is None else old.missing(*gap):
                    new += high - low
            young.add(first, stop)
            self._booked += 1
        if self._booked >= REMEMBERED:
            self._young, self._old, self._booked = {}, self._young, 0
        self._counter.more(new)
        return new

    def should_log(self) -> bool:
        """Whether the last failure is to be said; if so, it takes that for done."""
        return self._counter.is_due()

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
