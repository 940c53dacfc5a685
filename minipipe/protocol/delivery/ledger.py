"""The ledger: what a sender keeps until the next segment with state has confirmed it.

Entries are parcels: consecutive numbers with one payload, settled by intervals.  Rules 2, 4, 9,
20 and 21 of the delivery protocol (ARCHITECTURE.md).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from minipipe.protocol.delivery.ahead import Ahead
from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.paths import ROOT, Outputs, Path, is_done, some_path
from minipipe.protocol.delivery.settling import Settling


class Entry:
    """One parcel that is not wholly settled."""

    __slots__ = ("first", "open_items", "payload", "settling", "size_bytes", "stop")

    def __init__(
        self, first: int, stop: int, size_bytes: int, payload: object, open_items: int
    ) -> None:
        self.first = first
        self.stop = stop
        self.size_bytes = size_bytes
        self.payload = payload
        self.open_items = open_items
        # Made when a part of the parcel, or one path, is settled.
        self.settling: Settling | None = None


class Ledger:
    """What one sender has sent into one region and not yet seen settled.

    `limit_bytes` and `min_items` bound it: it is full when what is open reaches both, or what lies
    ahead of a receiver that holds on to items does (`expect_low_watermark`).
    """

    def __init__(self, *, limit_bytes: int, min_items: int) -> None:
        if limit_bytes < 1 or min_items < 1:
            raise ValueError(f"a ledger needs room, got {limit_bytes} bytes, {min_items} items")
        self.limit_bytes = limit_bytes
        self.min_items = min_items
        self.next_number = 0
        self.settled_items = 0
        self.open_items = 0
        self.open_bytes = 0
        self.peak_items = 0
        self.peak_bytes = 0
        self._firsts: list[int] = []
        self._entries: list[Entry] = []
        self._released: list[object] = []
        self._ahead: Ahead | None = None

    def allow(self, min_items: int) -> None:
        """So many items may be open from now on, however large they are."""
        self.min_items = min_items
        if self._ahead is not None:
            self._ahead.min_items = min_items

    @property
    def full(self) -> bool:
        """Whether the sender has to wait before it takes another item."""
        if self.open_items >= self.min_items and self.open_bytes >= self.limit_bytes:
            return True
        return self._ahead is not None and self._ahead.full

    @property
    def empty(self) -> bool:
        """Whether everything ever sent is settled: only then may the region be closed."""
        return not self._entries

    @property
    def mark(self) -> int:
        """Every number below is settled (MARK, rule 21)."""
        if not self._entries:
            return self.next_number
        entry = self._entries[0]
        return entry.first if entry.settling is None else entry.settling.mark

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
        if self._ahead is not None:
            self._ahead.sent(self.next_number, count, size_bytes)
        return first

    def acknowledge(
        self, runs: Iterable[Interval], path: Path = ROOT, said_by: int | None = None
    ) -> int:
        """Books these numbers as settled at `path`; returns how many are now done with.

        Numbers that are not open (settled before, by an earlier confirmation) are ignored.
        """
        done = 0
        runs = list(runs)
        for first, stop in runs:
            if stop > self.next_number or first < 0 or first >= stop:
                raise ValueError(
                    f"a confirmation of [{first}, {stop}) of {runs} at path {path} by worker "
                    f"{said_by}, but only [0, {self.next_number}) was sent"
                )
        for first, stop in runs:
            i = self._index_of(first)
            while i < len(self._entries) and self._entries[i].first < stop:
                entry = self._entries[i]
                if first <= entry.first and entry.stop <= stop and not path:
                    done += entry.open_items  # the usual case: a whole parcel at once
                    self._close(i)
                    continue
                low, high = max(first, entry.first), min(stop, entry.stop)
                if entry.settling is None:
                    entry.settling = Settling(entry.first, entry.stop)
                new = entry.settling.acknowledge(low, high, path)
                entry.open_items -= new
                done += new
                if not entry.open_items:
                    self._close(i)
                else:
                    i += 1
        self.open_items -= done
        self.settled_items += done
        return done

    def begin_pass(self, first: int) -> None:
        """What comes next has numbers from this one on; what is open is for nobody any more."""
        assert first >= self.next_number
        self._released += [entry.payload for entry in self._entries]
        self._firsts.clear()
        self._entries.clear()
        self.open_items = self.open_bytes = 0
        self.next_number = first
        if self._ahead is not None:
            self._ahead.begin_pass(first)

    def _close(self, i: int) -> None:
        """A parcel is settled as a whole."""
        entry = self._entries[i]
        self.open_bytes -= entry.size_bytes
        self._released.append(entry.payload)
        del self._entries[i], self._firsts[i]

    def is_settled(self, number: int, outputs: Outputs) -> bool:
        """Whether nobody will do this item, or what came of it by these outputs, again."""
        i = self._index_of(number)
        if i == len(self._entries) or number < self._entries[i].first:
            return True
        settling = self._entries[i].settling
        return settling is not None and is_done(some_path(outputs), settling.of(number))

    def release_settled(self) -> list[object]:
        """The payloads of parcels that were settled since last asked: nobody needs them again."""
        payloads, self._released = self._released, []
        return payloads

    def expect_low_watermark(self, receiver: int) -> None:
        """This receiver holds on to items: what lies ahead of its AT (rule 21) is bounded too.

        It stands at 0 until it is heard.  What is settled already, it cannot hold.
        """
        if self._ahead is None:
            self._ahead = Ahead(limit_bytes=self.limit_bytes, min_items=self.min_items)
            for entry in self._entries:
                self._ahead.sent(entry.stop, entry.stop - entry.first, entry.size_bytes)
        self._ahead.expect(receiver)

    def low_watermark(self, receiver: int, number: int) -> None:
        """Takes in that this receiver holds nothing below `number`; a late lower one is ignored.

        Raises:
            ValueError: nothing of the kind is expected from this receiver.
        """
        if self._ahead is None:
            raise ValueError(
                f"worker {receiver} says that it holds items from {number} on, but no receiver is "
                f"expected to hold any"
            )
        self._ahead.low_watermark(receiver, number)

    def outstanding(self, number: int = 0) -> Iterator[Entry]:
        """Yields what is not settled of the numbers from this one on, in number order."""
        for i in range(self._index_of(number), len(self._entries)):
            yield self._entries[i]

    def _index_of(self, number: int) -> int:
        """The first entry that has `number` or a higher one in it."""
        i = max(0, bisect_right(self._firsts, number) - 1)
        return i + 1 if i < len(self._entries) and self._entries[i].stop <= number else i
