"""How far the items of one parcel are settled: intervals of numbers that are alike.

Forks settle an item path by path, and the masks of neighbours may differ.  Mostly they do not: a
broadcast settles a thousand items by a handful of paths, each for all of them, and is one interval
throughout.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from minipipe.protocol.delivery.paths import ROOT, Path, complete

NOTHING: Final[frozenset[Path]] = frozenset()
DONE: Final[frozenset[Path]] = frozenset({ROOT})  # settled as a whole, by whichever paths


@lru_cache(maxsize=1024)
def _joined(settled: frozenset[Path], path: Path) -> frozenset[Path]:
    """`settled` and `path`; DONE, the very object, if that completes the item."""
    both = settled | {path}
    return DONE if complete(ROOT, both) else both


class Settling:
    """The paths that are settled of each number of [first, stop).

    Iterates over maximal intervals (first, stop, paths) of numbers with the same paths.
    """

    __slots__ = ("_edges", "_paths")

    def __init__(self, first: int, stop: int) -> None:
        assert first < stop
        self._edges = [first, stop]
        self._paths = [NOTHING]  # between one edge and the next

    def acknowledge(self, first: int, stop: int, path: Path) -> int:
        """Settles [first, stop) at `path`; returns how many numbers are done with by that."""
        assert self._edges[0] <= first < stop <= self._edges[-1]
        low, high = self._cut(first), self._cut(stop)
        # With a neighbour on either side, which may be alike now.
        begin, end = max(0, low - 1), min(high + 1, len(self._paths))
        edges: list[int] = []
        paths: list[frozenset[Path]] = []
        done = 0
        for i in range(begin, end):
            now = before = self._paths[i]
            if low <= i < high:
                now = _joined(before, path)
                if now is DONE and before is not DONE:
                    done += self._edges[i + 1] - self._edges[i]
            if not paths or now != paths[-1]:
                edges.append(self._edges[i])
                paths.append(now)
        self._edges[begin:end] = edges
        self._paths[begin:end] = paths
        return done

    def _cut(self, number: int) -> int:
        """The interval that begins at `number`, made by splitting one if there was none."""
        i = bisect_left(self._edges, number)
        if self._edges[i] != number:
            self._edges.insert(i, number)
            self._paths.insert(i, self._paths[i - 1])
        return i

    def of(self, number: int) -> frozenset[Path]:
        """The paths that are settled of this number."""
        assert self._edges[0] <= number < self._edges[-1]
        return self._paths[bisect_right(self._edges, number) - 1]

    @property
    def mark(self) -> int:
        """The lowest number that is not done with, or `stop`."""
        return self._edges[1] if self._paths[0] is DONE else self._edges[0]

    def __iter__(self) -> Iterator[tuple[int, int, frozenset[Path]]]:
        return iter(list(zip(self._edges, self._edges[1:], self._paths, strict=False)))

    def __repr__(self) -> str:
        return f"Settling({list(self)})"
