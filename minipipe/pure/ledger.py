"""The ledger: what a sender keeps until the next segment with state has confirmed it.

Entries are parcels: consecutive numbers with one payload.  Only paths that a fork has made are
kept one by one; everything else is intervals.  Rules 2, 4, 9 and 20 of the delivery protocol
(ARCHITECTURE.md).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from minipipe.pure.intervals import Interval, IntervalSet
from minipipe.pure.paths import ROOT, Path, complete


@dataclass(slots=True)
class Entry:
    """One parcel that is not wholly settled."""

    first: int
    stop: int
    size_bytes: int
    payload: object
    open_items: int
    settled: IntervalSet | None = None  # made when a part of the parcel is settled
    forks: dict[int, set[Path]] | None = None


class Ledger:
    """What one sender has sent into one region and not yet seen settled.

    `limit_bytes` and `min_items` bound it: it is full when both are exceeded.
    """

    def __init__(self, *, limit_bytes: int, min_items: int) -> None:
        if limit_bytes < 1 or min_items < 1:
            raise ValueError(f"a ledger needs room, got {limit_bytes} bytes, {min_items} items")
        self.limit_bytes = limit_bytes
        self.min_items = min_items
        self.next_number = 0
        self.open_items = 0
        self.open_bytes = 0
        self.peak_items = 0
        self.peak_bytes = 0
        self._firsts: list[int] = []
        self._entries: list[Entry] = []

    @property
    def full(self) -> bool:
        """Whether the sender has to wait before it takes another item."""
        return self.open_items >= self.min_items and self.open_bytes >= self.limit_bytes

    @property
    def empty(self) -> bool:
        """Whether everything ever sent is settled: only then may the region be closed."""
        return not self._entries

    @property
    def mark(self) -> int:
        """Every number below is settled (MARK, rule 21)."""
        return self._firsts_unsettled() if self._entries else self.next_number

    def _firsts_unsettled(self) -> int:
        entry = self._entries[0]
        for first, stop in entry.settled or ():
            return stop if first == entry.first else entry.first
        return entry.first

    def open(self, count: int, size_bytes: int, payload: object) -> int:
        """Books `count` consecutive new numbers as sent; returns the first of them."""
        if count < 1:
            raise ValueError(f"a parcel holds at least one item, got {count}")
        first = self.next_number
        self.next_number = first + count
        self._firsts.append(first)
        self._entries.append(Entry(first, self.next_number, size_bytes, payload, count))
        self.open_items += count
        self.open_bytes += size_bytes
        self.peak_items = max(self.peak_items, self.open_items)
        self.peak_bytes = max(self.peak_bytes, self.open_bytes)
        return first

    def settle(self, runs: Iterable[Interval], path: Path = ROOT) -> int:
        """Books these numbers as settled at `path`; returns how many are now done with.

        Numbers that are not open (settled before, by an earlier confirmation) are ignored.
        """
        done = 0
        runs = list(runs)
        for first, stop in runs:
            if stop > self.next_number or first < 0 or first >= stop:
                raise ValueError(
                    f"a confirmation of [{first}, {stop}), but only "
                    f"[0, {self.next_number}) was sent"
                )
        for first, stop in runs:
            i = max(0, bisect_right(self._firsts, first) - 1)
            while i < len(self._entries) and self._entries[i].first < stop:
                entry = self._entries[i]
                if first <= entry.first and entry.stop <= stop and not path:
                    done += entry.open_items  # the usual case: a whole parcel at once
                    self.open_bytes -= entry.size_bytes
                    del self._entries[i], self._firsts[i]
                    continue
                low, high = max(first, entry.first), min(stop, entry.stop)
                if entry.settled is None:
                    entry.settled = IntervalSet()
                if path:
                    new = self._settle_forks(entry, low, high, path)
                else:
                    new = entry.settled.add(low, high)
                entry.open_items -= new
                done += new
                if not entry.open_items:
                    self.open_bytes -= entry.size_bytes
                    del self._entries[i], self._firsts[i]
                else:
                    i += 1
        self.open_items -= done
        return done

    @staticmethod
    def _settle_forks(entry: Entry, low: int, high: int, path: Path) -> int:
        assert entry.settled is not None
        if entry.forks is None:
            entry.forks = {}
        done = 0
        for number in range(low, high):
            if number in entry.settled:
                continue
            paths = entry.forks.setdefault(number, set())
            paths.add(path)
            if complete(ROOT, paths):
                del entry.forks[number]
                done += entry.settled.add(number, number + 1)
        return done

    def outstanding(self) -> list[Entry]:
        """What would have to be sent again, in number order."""
        return list(self._entries)
