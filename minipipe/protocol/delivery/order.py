"""What a receiver that takes items in order holds back, until it is their turn.

Rule 21 of the delivery protocol (ARCHITECTURE.md).  What was dropped on the way leaves no trace at
the receivers, so they cannot know by themselves that a number will not come.  The sender does: it
says up to where all is settled (MARK).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from minipipe.protocol.delivery.intervals import Interval

Parcel = TypeVar("Parcel")


class Piece(NamedTuple, Generic[Parcel]):
    """Items of one parcel whose turn it is."""

    parcel: Parcel
    position: int  # of the first of them, in the parcel
    first: int  # its number
    items: int


class Order(Generic[Parcel]):
    """The items that a receiver has of one sender and has not handed over.

    Args:
        gapless: every number comes to this receiver, unless it was dropped: then it need not wait
            for the mark where it has the next one.  It may change: with a receiver more, each
            waits for marks from then on; with one left, that one does not any more.  Numbers that
            another one has got are gaps until they are settled.
    """

    def __init__(self, *, gapless: bool) -> None:
        self.mark = 0
        self.gapless = gapless
        self._next = 0  # the lowest number that may still come
        self._heap: list[tuple[int, tuple[int, ...], int, int, int, Parcel]] = []
        self._count = 0

    def add(self, runs: Sequence[Interval], path: tuple[int, ...], parcel: Parcel) -> None:
        """Holds a parcel with these numbers, all of them leaves at `path` (outputs only)."""
        position = 0
        for first, stop in runs:
            assert first >= self._next, f"item {first} came after {self._next - 1} was handed over"
            self._count += 1  # no two are equal, or parcels would be compared
            heapq.heappush(self._heap, (first, path, self._count, position, stop, parcel))
            position += stop - first

    def marked(self, mark: int) -> None:
        """Takes in that every number below `mark` is settled; a lower one than before is late."""
        self.mark = max(mark, self.mark)

    def withdraw(self) -> list[Piece[Parcel]]:
        """All that it holds: nobody waits for that any more."""
        held, self._heap = sorted(self._heap), []
        return [
            Piece(parcel, place, first, stop - first) for first, _, _, place, stop, parcel in held
        ]

    @property
    def lowest(self) -> int | None:
        """The lowest number held; None if there is none."""
        return self._heap[0][0] if self._heap else None

    def pop(self) -> Piece[Parcel] | None:
        """The items whose turn it is; None if they are still to come."""
        self._next = max(self.mark, self._next)
        if not self._heap:
            return None
        first, path, count, position, stop, parcel = self._heap[0]
        if first >= self.mark and not (self.gapless and first == self._next):
            return None
        heapq.heappop(self._heap)
        end = stop
        if self._heap:
            end = min(end, max(first + 1, self._heap[0][0]))
        if not self.gapless:
            end = min(end, self.mark)
        if end < stop:
            rest = (end, path, count, position + end - first, stop, parcel)
            heapq.heappush(self._heap, rest)
        if self.gapless:
            self._next = max(end, self._next)
        return Piece(parcel, position, first, end - first)
