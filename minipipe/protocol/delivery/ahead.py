"""How far a sender is ahead of the receivers that hold on to items.

Such a receiver (a join by identity, or one that takes items in order) may have to hold everything
that overtakes one slow item.  Confirmed as that is, no ledger bounds it; so the sender waits when
too much lies ahead of the lowest number that a receiver still has (AT, rule 21 of the delivery
protocol).
"""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_AHEAD_ITEMS: Final = 65_536  # bounds what receivers have to book for items of no size


class Ahead:
    """The parcels that reach beyond the lowest AT, counted whole.

    It is `full` by the limits of the ledger, `min_items` and `limit_bytes` both reached, or by
    MAX_AHEAD_ITEMS.
    """

    def __init__(self, *, limit_bytes: int, min_items: int) -> None:
        self.limit_bytes = limit_bytes
        self.min_items = min_items
        self.items = 0
        self.size_bytes = 0
        self._low_watermarks: dict[int, int] = {}  # by receiver
        self._parcels: deque[tuple[int, int, int]] = deque()  # stop, items, bytes

    @property
    def full(self) -> bool:
        """Whether the sender has to wait for a receiver to let go of something."""
        if self.items >= MAX_AHEAD_ITEMS:
            return True
        return self.items >= self.min_items and self.size_bytes >= self.limit_bytes

    def expect(self, receiver: int) -> None:
        """Waits for this receiver too: as long as it is unheard, it stands at 0."""
        self._low_watermarks.setdefault(receiver, 0)

    def begin_pass(self, first: int) -> None:
        """Nobody holds anything any more; what comes next has numbers from this one on."""
        self._low_watermarks = dict.fromkeys(self._low_watermarks, first)
        self._parcels.clear()
        self.items = self.size_bytes = 0

    def sent(self, stop: int, count: int, size_bytes: int) -> None:
        """Books a parcel of `count` numbers, the last being `stop` - 1."""
        self._parcels.append((stop, count, size_bytes))
        self.items += count
        self.size_bytes += size_bytes

    def low_watermark(self, receiver: int, number: int) -> None:
        """Takes in that this receiver holds nothing below `number`.

        A lower one than before changes nothing: it is late, or an item has come that others had
        overtaken, which was open when the higher one was said, and the ledger bounds what is open.
        """
        if receiver not in self._low_watermarks:
            raise ValueError(
                f"worker {receiver} says that it holds items from {number} on, but those that "
                f"hold any are {sorted(self._low_watermarks)}"
            )
        if number <= self._low_watermarks[receiver]:
            return
        self._low_watermarks[receiver] = number
        lowest = min(self._low_watermarks.values())
        while self._parcels and self._parcels[0][0] <= lowest:
            _, count, size_bytes = self._parcels.popleft()
            self.items -= count
            self.size_bytes -= size_bytes
        assert self.items >= 0 and self.size_bytes >= 0
