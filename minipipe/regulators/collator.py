"""Samples that come one by one become a batch: each is copied once, into its row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from minipipe.regulators.collate import collate_part, unlike
from minipipe.regulators.nested import Layer, layer_of
from minipipe.shm.arrays import empty

# What a batch gets at once; one that is larger grows as its samples come, until one was full: it
# may be meant to take in whatever a stream has, which may be little.
FIRST_BYTES = 64 * 1024 * 1024
# Arrays of objects have no memory to copy; texts may be of another length in the next sample.
_KEPT_KINDS = frozenset("OUS")


class Collator:
    """Makes what `collate` makes of up to `size` samples, and keeps no sample meanwhile.

    Of one batch after the other; what is known of the samples of one is tried on those of the next.

    >>> import numpy as np
    >>> collator = Collator(2)
    >>> for number in range(2):
    ...     collator.add((np.full(3, number), number))
    >>> collator.finish()[1]
    array([0, 1])
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._count = 0
        self._root: _Column | None = None
        self._was_full = False
        self._error: Exception | None = None

    def __len__(self) -> int:
        """How many samples were added since the last `finish`."""
        return self._count

    def add(self, sample: Any) -> None:
        """Adds one of at most `size` samples; whatever is wrong with it, `finish` says."""
        index, self._count = self._count, self._count + 1
        if self._error is None:
            try:
                root = self._root
                if root is None or (not index and not root.fits(sample)):
                    root = self._root = _column_of(sample, "", self._size)
                if not index:
                    root.begin(grown=self._was_full)
                root.add(index, sample)
            except Exception as error:  # reading the fields of a sample runs code of the user's
                self._error, self._root = error, None

    def finish(self) -> Any:
        """The batch of what was added since the last one, which is at least one sample.

        Raises:
            CollateError: the samples are not alike, or of a type that has no batch.
        """
        count, self._count = self._count, 0
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        assert self._root is not None
        self._was_full = count == self._size
        return self._root.finish(count)


class _Parts:
    """What holds parts: a dict, tuple, list, namedtuple or dataclass."""

    def __init__(self, layer: Layer, columns: Sequence[_Column], where: str) -> None:
        self._layer = layer
        self._columns = columns
        self._where = where
        # Nearly always, and quicker.
        self._is_tuple = layer.form == "sequence" and layer.cls is tuple

    def fits(self, sample: Any) -> bool:
        if self._layer.difference(sample) is not None:
            return False
        if self._layer.form == "dict" and list(sample) != list(self._layer.keys):
            return False  # a batch has its keys in the order of its first sample
        parts = self._layer.parts(sample)
        return all(map(lambda column, part: column.fits(part), self._columns, parts))

    def begin(self, *, grown: bool) -> None:
        for column in self._columns:
            column.begin(grown=grown)

    def add(self, index: int, sample: Any) -> None:
        columns = self._columns
        if self._is_tuple and type(sample) is tuple and len(sample) == len(columns):
            parts: Sequence[Any] = sample
        else:
            difference = self._layer.difference(sample)
            if difference is not None:
                raise unlike(index, self._where, *difference)
            parts = self._layer.parts(sample)
        for column, part in zip(columns, parts, strict=True):
            column.add(index, part)

    def finish(self, count: int) -> Any:
        return self._layer.make([column.finish(count) for column in self._columns])


class _Rows:
    """Arrays of one dtype and shape, each copied to its row."""

    def __init__(self, like: npt.NDArray[Any], where: str, size: int) -> None:
        self._dtype, self._shape = like.dtype, like.shape
        self._where = where
        self._size = size
        self._row_bytes = like.nbytes or 1
        self._rows = np.empty((0, *like.shape), like.dtype)
        self._unlike: list[Any] | None = None  # all samples, from one on that is none of these

    def fits(self, sample: Any) -> bool:
        return (
            type(sample) is np.ndarray
            and sample.dtype == self._dtype
            and sample.shape == self._shape
        )

    def begin(self, *, grown: bool) -> None:
        first = max(1, FIRST_BYTES // self._row_bytes)
        rows = self._size if grown else min(self._size, first)
        self._rows = empty((rows, *self._shape), self._dtype)
        self._unlike = None

    def add(self, index: int, sample: Any) -> None:
        if (
            self._unlike is None
            and type(sample) is np.ndarray
            and sample.shape == self._shape
            and sample.dtype == self._dtype
        ):
            if index == len(self._rows):
                self._rows = self._resized(min(self._size, 2 * index), index)
            self._rows[index] = sample
            return
        if self._unlike is None:
            self._unlike = list(self._rows[:index])
        self._unlike.append(sample)

    def finish(self, count: int) -> Any:
        rows, self._rows = self._rows, self._rows[:0]
        if self._unlike is not None:
            samples, self._unlike = self._unlike, None
            return collate_part(samples, self._where)
        if 2 * count < len(rows):
            # What is seen of it would keep all of it.
            self._rows = rows
            rows, self._rows = self._resized(count, count), rows[:0]
        return rows if count == len(rows) else rows[:count]

    def _resized(self, rows: int, kept: int) -> npt.NDArray[Any]:
        resized = empty((rows, *self._shape), self._dtype)
        resized[:kept] = self._rows[:kept]
        return resized


class _Values:
    """Anything else: numbers, texts, tensors, and what has no batch."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._values: list[Any] = []

    def fits(self, sample: Any) -> bool:
        return layer_of(sample) is None and not _has_rows(sample)

    def begin(self, *, grown: bool) -> None:
        self._values = []

    def add(self, index: int, sample: Any) -> None:
        # An array may be filled anew for the next sample, whatever it has.  (Tensors are stacked at
        # the end, as torch does it.)
        self._values.append(sample.copy() if type(sample) is np.ndarray else sample)

    def finish(self, count: int) -> Any:
        values, self._values = self._values, []
        return collate_part(values, self._where)


_Column: TypeAlias = _Parts | _Rows | _Values


def _column_of(sample: Any, where: str, size: int) -> _Column:
    if _has_rows(sample):
        return _Rows(sample, where, size)
    layer = layer_of(sample)
    if layer is None:
        return _Values(where)
    parts = zip(layer.keys, layer.parts(sample), strict=True)
    return _Parts(
        layer, [_column_of(part, where + layer.step(key), size) for key, part in parts], where
    )


def _has_rows(sample: Any) -> bool:
    return (
        type(sample) is np.ndarray
        and sample.ndim > 0
        and sample.dtype.kind not in _KEPT_KINDS
        and not sample.dtype.hasobject
    )
