"""A batch is made of a dataset: fetched and collated, as DataLoader's fetchers do it.

What is being done at any moment is in `at`, so that an error can name it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from minipipe.process.describe import describe


@dataclass(frozen=True)
class Manner:
    """How batches are made of a dataset.

    Attributes:
        is_iterable: It is an `IterableDataset`.
        collates: What the sampler gives is a batch of indices (else one, or a count).
        drop_last: Of an iterable dataset, what does not fill a batch is left out.
    """

    is_iterable: bool
    collates: bool
    drop_last: bool


class Fetcher(Protocol):
    """Makes the batches of one pass."""

    @property
    def at(self) -> str:
        """What it is doing, or did last."""

    def fetch(self, index: Any) -> Any:
        """Returns a batch; raises StopIteration when an iterable dataset has ended."""

    def skip(self, index: Any) -> None:
        """Goes past a batch without making it."""


def fetcher_of(dataset: Any, manner: Manner, collate: Callable[[Any], Any]) -> Fetcher:
    """Returns the fetcher for a pass over this dataset; an iterable one is begun."""
    kind = _Iterating if manner.is_iterable else _Indexing
    return kind(dataset, manner, collate)


class _Indexing:
    def __init__(self, dataset: Any, manner: Manner, collate: Callable[[Any], Any]) -> None:
        self._dataset = dataset
        self._manner = manner
        self._collate = collate
        self._at: Callable[[], str] = lambda: "nothing yet"

    @property
    def at(self) -> str:
        return self._at()

    def fetch(self, index: Any) -> Any:
        dataset = self._dataset
        if not self._manner.collates:
            self._at = lambda: f"dataset[{describe(index)}]"
            data = dataset[index]
        elif getattr(dataset, "__getitems__", None):
            self._at = lambda: f"dataset.__getitems__({describe(index)})"
            data = dataset.__getitems__(index)
        else:
            self._at = lambda: "going through the indices"
            data, indices, one = [], iter(index), None  # (not index[i]: it may be a set)
            self._at = lambda: f"dataset[{describe(one)}]"
            for one in indices:
                data.append(dataset[one])
        self._at = lambda: f"collate_fn, of {_counted(data, self._manner.collates)}"
        return self._collate(data)

    def skip(self, index: Any) -> None:
        """Nothing is to be done: each index stands for itself."""


class _Iterating:
    def __init__(self, dataset: Any, manner: Manner, collate: Callable[[Any], Any]) -> None:
        self._manner = manner
        self._collate = collate
        self._count = 0  # of samples
        self._collated = 0  # how many are being collated
        self._has_ended = False
        self._iterator = iter(dataset)

    @property
    def at(self) -> str:
        if self._collated:
            return f"collate_fn, of {self._collated} samples up to sample {self._count - 1}"
        return f"sample {self._count} of iter(dataset)"

    def fetch(self, index: Any) -> Any:
        self._collated = 0
        data = self._next(index)
        self._collated = len(index) if self._manner.collates else 1
        return self._collate(data)

    def skip(self, index: Any) -> None:
        self._next(index)

    def _next(self, index: Any) -> Any:
        if not self._manner.collates:
            return self._sample()
        if self._has_ended:
            raise StopIteration
        data = []
        for _ in index:
            try:
                data.append(self._sample())
            except StopIteration:
                self._has_ended = True
                break
        if not data or (self._manner.drop_last and len(data) < len(index)):
            raise StopIteration
        return data

    def _sample(self) -> Any:
        sample = next(self._iterator)
        self._count += 1
        return sample


def _counted(data: Any, collates: bool) -> str:
    try:
        return f"{len(data)} samples" if collates else "1 sample"
    except TypeError:  # __getitems__ has given something without a length
        return f"a {type(data).__name__}"


def batch_in_words(number: int, index: Any, manner: Manner) -> str:
    """Returns what a batch is called in errors."""
    if manner.is_iterable:
        return f"batch {number}"
    return f"batch {number} (index {describe(index)})"
