"""Rows that wait until there are enough of them: in order, or to be drawn at random.

Both take the columns of a chunk (arrays, equally long) and give those of n rows.  What they give
is never written to afterwards.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from minipipe.regulators.layout import Array
from minipipe.shm.arrays import empty

Columns = list[Array]


class Rows(ABC):
    """Rows until a batch of n is full."""

    @abstractmethod
    def push(self, columns: Columns) -> Iterator[Columns]:
        """Adds at least one row; gives n rows as often as there are enough."""

    @abstractmethod
    def rest(self) -> Iterator[Columns]:
        """Gives all that is left, n rows at a time, at last fewer; then there is none."""


class RowQueue(Rows):
    """In order.  A row is copied once, and not at all where a chunk holds all n."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._count = 0
        self._chunks: deque[Columns] = deque()
        self._start = 0  # of the rows in the first chunk that were not given yet

    def push(self, columns: Columns) -> Iterator[Columns]:
        self._chunks.append(columns)
        self._count += len(columns[0])
        while self._count >= self._n:
            yield self._take(self._n)

    def rest(self) -> Iterator[Columns]:
        if self._count:
            yield self._take(self._count)

    def _take(self, rows: int) -> Columns:
        self._count -= rows
        pieces: list[Columns] = []
        while rows:
            chunk, start = self._chunks[0], self._start
            stop = min(start + rows, len(chunk[0]))
            pieces.append([column[start:stop] for column in chunk])
            rows -= stop - start
            self._start = stop
            if stop == len(chunk[0]):
                self._chunks.popleft()
                self._start = 0
        if len(pieces) == 1:
            return pieces[0]
        return [_joined(column) for column in zip(*pieces, strict=True)]


class RowPool(Rows):
    """At random: each n rows are drawn from `shuffle` + n, without replacement.

    Three copies of a row at most: into the pool, out of it, and into the gap of a drawn one, so
    that the pool stays without gaps.

    Args:
        n: rows to give at a time.
        shuffle: rows that stay after each drawing, at least 1.
        rng: decides.
    """

    def __init__(self, n: int, shuffle: int, rng: np.random.Generator) -> None:
        self._n = n
        self._full = shuffle + n
        self._rng = rng
        self._count = 0
        self._pool: Columns = []

    def push(self, columns: Columns) -> Iterator[Columns]:
        rows, start = len(columns[0]), 0
        while start < rows:
            stop = min(rows, start + self._full - self._count)
            self._append([column[start:stop] for column in columns])
            start = stop
            if self._count == self._full:
                yield self._draw()

    def rest(self) -> Iterator[Columns]:
        pool, order = self._pool, self._rng.permutation(self._count)
        self._pool, self._count = [], 0
        for start in range(0, len(order), self._n):
            yield [_drawn(column, order[start : start + self._n]) for column in pool]

    def _append(self, columns: Columns) -> None:
        stop = self._count + len(columns[0])
        held = len(self._pool[0]) if self._pool else 0
        if stop > held:
            # Doubled, up to what it can ever need: a short stream pays for no long pool.
            size = min(self._full, max(2 * held, stop))
            grown = [np.empty((size, *new.shape[1:]), new.dtype) for new in columns]
            for larger, smaller in zip(grown, self._pool, strict=False):
                larger[: self._count] = smaller[: self._count]
            self._pool = grown
        for column, new in zip(self._pool, columns, strict=True):
            column[self._count : stop] = new
        self._count = stop

    def _draw(self) -> Columns:
        drawn = self._rng.choice(self._count, self._n, replace=False)
        given = [_drawn(column, drawn) for column in self._pool]
        # The last n rows that were not drawn fill the gaps that the others have left.
        self._count -= self._n
        gaps = drawn[drawn < self._count]
        stays = np.ones(self._n, bool)
        stays[drawn[drawn >= self._count] - self._count] = False
        last = np.flatnonzero(stays) + self._count
        for column in self._pool:
            column[gaps] = column[last]
        return given


def _joined(pieces: Sequence[Array]) -> Array:
    """The rows of all pieces, where the next segment can see them."""
    first = pieces[0]
    shape = (sum(map(len, pieces)), *first.shape[1:])
    # Made before, or the byte order would become native.
    return np.concatenate(pieces, out=_made(shape, first))


def _drawn(column: Array, rows: Array) -> Array:
    """These rows of a column, where the next segment can see them."""
    if column.dtype.hasobject:
        return column[rows]
    shape = (len(rows), *column.shape[1:])
    # Clipping nothing, but without it NumPy would fill a buffer of its own first.
    return np.take(column, rows, axis=0, out=_made(shape, column), mode="clip")


def _made(shape: tuple[int, ...], like: Array) -> Array:
    return np.empty(shape, like.dtype) if like.dtype.hasobject else empty(shape, like.dtype)
