"""`mp.empty`: arrays that lie where the next segment can see them, so that they are not copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from minipipe.errors import MiniPipeError
from minipipe.shm import SlotPool

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Shape: TypeAlias = SupportsIndex | Sequence[SupportsIndex]

_pool: SlotPool | None = None


class ObjectArrayError(MiniPipeError, TypeError):
    """An array of Python objects was asked for where others are to see its memory."""

    def __init__(self, function: str, dtype: str) -> None:
        super().__init__(function, dtype)
        self.function = function
        self.dtype = dtype

    def __str__(self) -> str:
        return (
            f"{self.function} makes arrays that other processes can see, and dtype {self.dtype} "
            "holds Python objects, which they cannot: choose a dtype without objects, or use "
            "NumPy's own function (such arrays are pickled when they are sent)"
        )


def set_pool(pool: SlotPool | None) -> None:
    """From here on arrays are made in slots of this pool; None: as NumPy makes them."""
    global _pool
    _pool = pool


def empty(shape: Shape, dtype: DTypeLike = float, order: Literal["C", "F"] = "C") -> Array:
    """Returns an array like that of `numpy.empty`, which can be sent without being copied.

    It is the caller's, to write to and to keep. What is returned or yielded of it (all of it or
    any view) arrives as it is at that moment: the framework sees to it that what is written
    later reaches nobody, and what was written later and is sent again is copied. The
    fastest is to make a new one for each item and to keep none.

    In a worker it lies in shared memory if it is large enough (64 KiB) and there is some left.
    Otherwise, and outside of a run, it is an ordinary array.

    Args:
        shape: As for `numpy.empty`.
        dtype: As for `numpy.empty`, but without Python objects.
        order: As for `numpy.empty`.

    Raises:
        ObjectArrayError: The dtype holds Python objects.
        ValueError: The shape is negative, or too large for any array.
        MemoryError: There is not so much memory.
    """
    _check("mp.empty", np.dtype(dtype))
    return _shared(np.empty(shape, dtype, order))


def empty_like(
    prototype: ArrayLike,
    /,
    dtype: DTypeLike | None = None,
    order: Literal["K", "A", "C", "F"] = "K",
    shape: Shape | None = None,
) -> Array:
    """Returns an array like that of `numpy.empty_like`, which can be sent without being copied.

    What `empty` says of its arrays holds of this one. It is never of a subclass.

    Args:
        prototype: Gives the shape, the dtype and the order of the axes in memory.
        dtype: Another dtype, without Python objects.
        order: As for `numpy.empty_like`; "K" is that of the prototype.
        shape: Another shape.

    Raises:
        ObjectArrayError: The dtype holds Python objects.
        ValueError: The shape is negative, or too large for any array.
        MemoryError: There is not so much memory.
    """
    plain = np.empty_like(prototype, dtype, order, False, shape)
    _check("mp.empty_like", plain.dtype)
    return _shared(plain)


def _check(function: str, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise ObjectArrayError(function, str(dtype))


def _shared(plain: Array) -> Array:
    """Returns the like of an array in a slot, or that array if there is none."""
    # NumPy has made it, so that shape, strides and errors are NumPy's. Memory that is large
    # enough for a slot costs nothing until it is written to.
    pool = _pool
    slot = None if pool is None else pool.take(plain.nbytes)
    if slot is None:
        return plain
    try:
        return np.ndarray(plain.shape, plain.dtype, slot.memory, strides=plain.strides)
    finally:
        slot.release()  # from here on only the array counts
