"""Chunks of rows: where their arrays are, and that they stay alike from chunk to chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minipipe.codec.registry import collation_of
from minipipe.protocol.frozen import frozen
from minipipe.regulators.errors import CollateError
from minipipe.regulators.nested import Layer, describe, layer_of

Array = npt.NDArray[Any]


@frozen
class Leaf:
    """An array in a chunk, dtype[rows, *shape]."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"rows of {self.dtype} and shape {self.shape}"


@frozen
class Branch:
    """A layer of a chunk, and what its parts are."""

    layer: Layer
    parts: tuple[Leaf | Branch, ...]


@frozen
class Layout:
    """The form of a chunk.

    Attributes:
        index: which chunk of the stream it was taken from, for errors.
    """

    root: Leaf | Branch
    index: int

    @classmethod
    def of(cls, chunk: Any, index: int) -> Layout:
        """The layout of `chunk`, of which `rows_of` found that it is one."""
        return cls(_look_at(chunk), index)

    def arrays(self, chunk: Any, index: int) -> list[Array]:
        """The arrays of a chunk, in the order that `chunk` takes them.

        Raises:
            CollateError: it has another layout.
        """
        found: list[Array] = []
        self._collect(self.root, chunk, "", index, found)
        return found

    def chunk(self, arrays: Sequence[Array]) -> Any:
        """A chunk of other arrays."""
        return _make(self.root, iter(arrays))

    def _collect(
        self, part: Leaf | Branch, value: Any, where: str, index: int, found: list[Array]
    ) -> None:
        if isinstance(part, Branch):
            difference = part.layer.difference(value)
            if difference is not None:
                raise self._changed(index, where, *difference)
            values = part.layer.parts(value)
            for key, below, each in zip(part.layer.keys, part.parts, values, strict=True):
                self._collect(below, each, where + part.layer.step(key), index, found)
            return
        if not isinstance(value, np.ndarray):
            raise self._changed(index, where, "an array", describe(value))
        leaf = _leaf(value)
        if leaf != part:
            raise self._changed(index, where, str(part), str(leaf))
        found.append(value)

    def _changed(self, index: int, where: str, expected: str, got: str) -> CollateError:
        return CollateError(
            f"chunk {index}",
            where,
            f"{expected} as in chunk {self.index}",
            got,
            "make all chunks alike in a Transform before",
        )


def rows_of(chunk: Any, index: int) -> int:
    """How many rows `chunk` has.

    Raises:
        CollateError: its arrays differ in that, or it has something else in it, or no array.
    """
    lengths = {where: len(array) for where, array in _arrays_in(chunk, "", index)}
    if not lengths:
        raise _no_rows(index, "", chunk)
    first, rows = next(iter(lengths.items()))
    for where, length in lengths.items():
        if length != rows:
            raise CollateError(
                f"chunk {index}",
                where,
                f"{rows} rows as at {first}",
                f"{length}",
                "give all its arrays the same first axis",
            )
    return rows


def _arrays_in(part: Any, where: str, index: int) -> Iterator[tuple[str, Array]]:
    layer = layer_of(part)
    if layer is not None:
        for key, each in zip(layer.keys, layer.parts(part), strict=True):
            yield from _arrays_in(each, where + layer.step(key), index)
    elif isinstance(part, np.ndarray) and part.ndim and not isinstance(part, np.ma.MaskedArray):
        yield where, part
    else:
        raise _no_rows(index, where, part)


def _no_rows(index: int, where: str, part: Any) -> CollateError:
    mend = "give it as an array with an axis of rows, or leave it out"
    got = describe(part)
    if isinstance(part, np.ma.MaskedArray):
        mend, got = "fill it (array.filled)", "a masked one"
    elif isinstance(part, int | float | np.generic | np.ndarray):
        mend = "give an array with one row for it, or Batch single samples"
    elif (collation := collation_of(part)) is not None:
        mend = f"give it as an array ({collation.to_numpy})"
    expected = "a NumPy array whose first axis is that of rows"
    return CollateError(f"chunk {index}", where, expected, got, mend)


def _leaf(array: Array) -> Leaf:
    return Leaf(array.dtype, array.shape[1:])


def _look_at(part: Any) -> Leaf | Branch:
    layer = layer_of(part)
    if layer is None:
        return _leaf(part)
    return Branch(layer, tuple(map(_look_at, layer.parts(part))))


def _make(part: Leaf | Branch, arrays: Iterator[Array]) -> Any:
    if isinstance(part, Leaf):
        return next(arrays)
    return part.layer.make([_make(below, arrays) for below in part.parts])
