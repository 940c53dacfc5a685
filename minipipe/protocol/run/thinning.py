"""What happens often is told in full only now and then, and else as a number."""

from __future__ import annotations

SAID = 10  # so many are told one by one
EVERY_S = 0.1  # after that, a few in each such time


class Sampling:
    """Which of many events are reported in full: the first few, then `few` in each EVERY_S.

    At the source of the reports, so that their number and size are bounded whatever happens.
    """

    def __init__(self, few: int) -> None:
        self._few = few
        self._count = 0
        self._left = 0
        self._since_s = float("-inf")

    def picks(self, now_s: float) -> bool:
        """Whether the event that has just happened is one of them."""
        self._count += 1
        if now_s - self._since_s >= EVERY_S:
            self._since_s, self._left = now_s, self._few
        if self._left:
            self._left -= 1
            return True
        return self._count <= SAID


class EverRarer:
    """Counts events, and says which are to be logged: the first SAID, then each time that they
    have doubled.
    """

    def __init__(self) -> None:
        self.count = 0
        self._next = 1

    def more(self, count: int) -> None:
        """So many more have happened."""
        self.count += count

    @property
    def so_far(self) -> str:
        """What to add to a line that stands for many."""
        return f" ({self.count} so far)" if self.count > SAID else ""

    def is_due(self) -> bool:
        """Whether the last event is to be logged; if so, it takes that for done."""
        if self.count < self._next:
            return False
        self._next = self.count + 1 if self.count < SAID else 1 << self.count.bit_length()
        return True
