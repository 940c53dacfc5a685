"""NumPy arrays: one alone, or a run of small ones end to end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from minipipe.codec import wire
from minipipe.codec.dtypes import NAMES, read_dtype, write_dtype
from minipipe.codec.nodes import NodeReader, NodeWriter, ReadNode, WriteNode
from minipipe.codec.parcel_slot import as_bytes
from minipipe.codec.wire import OUT_OF_BAND_BYTES, NotNativeError
from minipipe.errors import WireFormatError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_MAX_EMPTY_ITEMS: Final = 1 << 20
_MAX_DIMENSIONS: Final = 64
_INTS: Final = frozenset({int})
_ORDERS: tuple[Literal["C"], Literal["F"]] = ("C", "F")


def small_copy(item: object) -> Array | None:
    """Returns a copy of a small array, as `Encoder.encode` takes it; None if it is none.

    (1000 of them in 10 ms: even the calls count here.)
    """
    if (
        type(item) is np.ndarray
        and 0 < item.nbytes < OUT_OF_BAND_BYTES
        and id(item.dtype) in NAMES
        and (item.ndim == 1 or not item.flags.fnc)
    ):
        return item.copy()
    return None


def write_runs(arrays: Sequence[Array]) -> Iterator[tuple[str, tuple[int, ...], int, bytes]]:
    """Yields dtype, shape, count and bytes of each run of arrays of one dtype and shape.

    Args:
        arrays: All of them C-contiguous, small, not empty, and of a dtype in NAMES.
    """
    kinds = [(array.dtype, array.shape) for array in arrays]
    if kinds.count(kinds[0]) == len(kinds):  # nearly always, and three times as fast
        counts = [len(kinds)]
    else:
        counts = [sum(1 for _ in run) for _, run in groupby(kinds)]
    start = 0
    for count in counts:
        dtype, shape = kinds[start]
        members: Any = arrays[start : start + count]
        yield NAMES[id(dtype)], shape, count, b"".join(members)
        start += count


def read_run(words: Any, shape: Any, count: Any, data: bytes | memoryview) -> list[Array]:
    """Returns the arrays of a run, each in memory of its own.

    (Views of one common buffer would be cheaper, and then whoever keeps one of them, in a shuffle
    buffer say, keeps all.)
    """
    dtype = read_dtype(words)
    size = _checked_size(shape) * dtype.itemsize
    if size <= 0 or type(count) is not int or count < 0 or size * count != len(data):
        raise WireFormatError(f"a run of {count!r:.40} arrays of {size} bytes has {len(data)}")
    rows = np.ndarray((count, *shape), dtype, buffer=data)
    if not shape:
        return [np.array(scalar) for scalar in rows]
    return list(map(np.array, rows))


def frozen_copy(data: bytes | bytearray | memoryview) -> memoryview:
    """Returns a read-only copy of bytes that nobody else holds.

    (A NumPy array behind a memoryview: NumPy asks for huge pages, so 38 MB take 13 ms where
    `bytes(data)` takes 27 ms, most of it page faults.)
    """
    return np.frombuffer(data, np.uint8).copy().data.toreadonly()


def raw_bytes(array: Array) -> memoryview:
    """Returns the bytes of a contiguous array (C or Fortran), without a copy."""
    return as_bytes(array).data


def _write_array(writer: NodeWriter, value: Array) -> list[object]:
    words = write_dtype(value.dtype)
    is_fortran = value.flags.fnc
    order = _ORDERS[is_fortran]
    data: bytes | memoryview
    if value.nbytes < OUT_OF_BAND_BYTES:
        if value.dtype.itemsize == 0 and value.size > _MAX_EMPTY_ITEMS:
            raise NotNativeError("it is a large array of nothing")
        data = value.tobytes(order)
    else:
        part = writer.lend(value)
        if part is not None:
            # A list of strides for each array of a parcel is longer than all else that is said.
            strides = None if value.flags.c_contiguous else list(part.strides)
            ref = list(part.held.reference())
            return [wire.SLOT_ARRAY, words, ref, part.offset, strides, part.exclusive, *value.shape]
        # In a slot that others may not open, it is sent from there.
        data = writer.frame(value) or raw_bytes(value.copy(order)).toreadonly()
    return [wire.ARRAY, words, int(is_fortran), writer.buffer(data), *value.shape]


def _read_array(reader: NodeReader, node: list[Any]) -> object:
    _, words, is_fortran, data, *shape = node
    return array_from(read_dtype(words), shape, _ORDERS[bool(is_fortran)], reader.buffer(data))


def _read_slot_array(reader: NodeReader, node: list[Any]) -> object:
    _, words, ref, offset, strides, exclusive, *shape = node
    dtype = read_dtype(words)
    _checked_size(shape)
    context = reader.context
    return reader.borrower.array(
        dtype, shape, ref, offset, strides, exclusive, context.access, context.leases
    )


def read_slots(
    reader: NodeReader, words: Any, shape: Any, strides: Any, ref: Any, exclusive: Any, offsets: Any
) -> list[Array]:
    """Returns the arrays of a run that lie in a slot."""
    dtype, context = read_dtype(words), reader.context
    _checked_size(shape)
    return reader.borrower.arrays(
        dtype, shape, strides, ref, exclusive, offsets, context.access, context.leases
    )


def array_from(
    dtype: np.dtype[Any], shape: Sequence[int], order: Literal["C", "F"], data: bytes | memoryview
) -> Array:
    """Returns a fresh array with these bytes, copied once.

    Raises:
        WireFormatError: Their number is not what the dtype and the shape ask for.
    """
    items = _checked_size(shape)
    if items * dtype.itemsize != len(data):
        raise WireFormatError(f"an array of {items} times {dtype} has {len(data)} bytes")
    if dtype.itemsize == 0:
        if items > _MAX_EMPTY_ITEMS:
            raise WireFormatError(f"an array has {items} times nothing")
        # Not np.empty, which makes U1 of U0.
        return np.ndarray(shape, dtype, order=order)
    return np.ndarray(shape, dtype, buffer=data, order=order).copy(order)


def is_shape(shape: Any) -> bool:
    """Whether something from the wire is a shape that an array could have."""
    # The limit is NumPy's, and keeps the product from becoming a number of a million digits.
    return (
        type(shape) is list
        and len(shape) <= _MAX_DIMENSIONS
        and set(map(type, shape)) <= _INTS
        and min(shape, default=0) >= 0
    )


def _checked_size(shape: Any) -> int:
    if not is_shape(shape):
        raise WireFormatError(f"{shape!r:.80} is no shape")
    return math.prod(shape)


WRITERS: dict[type, WriteNode] = {np.ndarray: _write_array}
READERS: dict[int, ReadNode] = {wire.ARRAY: _read_array, wire.SLOT_ARRAY: _read_slot_array}
