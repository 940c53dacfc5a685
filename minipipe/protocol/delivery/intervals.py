"""Sets of item numbers, kept as intervals.

Bookkeeping by interval is what makes hundreds of thousands of items a second possible: a
parcel of a thousand consecutive items is one pair of numbers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Interval = tuple[int, int]  # first, and one past the last


class IntervalSet:
    """A set of integers as sorted, disjoint, non-touching intervals."""

    __slots__ = ("_firsts", "_stops")

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        self._firsts: list[int] = []
        self._stops: list[int] = []
        for first, stop in intervals:
            self.add(first, stop)

    def add(self, first: int, stop: int) -> int:
        """Adds every number of [first, stop); returns how many of them are new."""
        if first >= stop:
            return 0
        firsts, stops = self._firsts, self._stops
        if not firsts or first > stops[-1]:  # the usual case: behind everything
            firsts.append(first)
            stops.append(stop)
            return stop - first
        low = bisect_left(stops, first)  # the first interval that touches [first, stop)
        high = bisect_right(firsts, stop)  # one past the last that does
        known = 0
        if low < high:
            known = sum(stops[low:high]) - sum(firsts[low:high])
            first = min(first, firsts[low])
            stop = max(stop, stops[high - 1])
        firsts[low:high] = [first]
        stops[low:high] = [stop]
        return stop - first - known

    def covers(self, first: int, stop: int) -> bool:
        """Whether every number of [first, stop) is in the set."""
        if first >= stop:
            return True
        i = bisect_right(self._firsts, first) - 1
        return i >= 0 and self._stops[i] >= stop

    def missing(self, first: int, stop: int) -> list[Interval]:
        """The parts of [first, stop) that are not in the set."""
        gaps: list[Interval] = []
        for i in range(bisect_right(self._stops, first), len(self._firsts)):
            if self._firsts[i] >= stop:
                break
            if self._firsts[i] > first:
                gaps.append((first, self._firsts[i]))
            first = self._stops[i]
        if first < stop:
            gaps.append((first, stop))
        return gaps

    @property
    def pieces(self) -> int:
        """How many intervals."""
        return len(self._firsts)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.covers(number, number + 1)

    def __iter__(self) -> Iterator[Interval]:
        return iter(list(zip(self._firsts, self._stops, strict=True)))

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __len__(self) -> int:
        """How many numbers, not how many intervals."""
        return sum(self._stops) - sum(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntervalSet) and list(self) == list(other)

    def __hash__(self) -> int:
        raise TypeError("an IntervalSet changes, so it cannot be a key")

    def __repr__(self) -> str:
        return f"IntervalSet({list(self)})"


def runs_of(numbers: Iterable[int]) -> list[Interval]:
    """Ascending numbers as maximal runs of consecutive ones.

    >>> runs_of([3, 4, 5, 9])
    [(3, 6), (9, 10)]
    """
    runs: list[Interval] = []
    first = stop = None
    for number in numbers:
        if number == stop:
            stop += 1
            continue
        if first is not None and stop is not None:
            runs.append((first, stop))
        first, stop = number, number + 1
    if first is not None and stop is not None:
        runs.append((first, stop))
    return runs
