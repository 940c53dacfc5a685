"""A map-style dataset, gone through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class ItemsOf:
    """The items of a map-style dataset: what has `__len__` and `__getitem__`, and no `__iter__`.

    (`iter` would ask for one index after the other until an IndexError, which such a dataset need
    not raise.)
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._length = len(dataset)
        self._next = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def go_past(self, count: int) -> int:
        """Goes past so many items, or what there is, without asking for them; how many."""
        before, self._next = self._next, min(self._next + count, self._length)
        return self._next - before

    def __next__(self) -> Any:
        if self._next >= self._length:
            raise StopIteration
        self._next += 1
        try:
            return self._dataset[self._next - 1]
        except StopIteration as error:
            raise RuntimeError("the dataset raised StopIteration") from error
