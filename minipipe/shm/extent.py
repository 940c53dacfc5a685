"""Which bytes an array covers."""

from __future__ import annotations

from collections.abc import Sequence


def c_strides(shape: Sequence[int], item_bytes: int) -> tuple[int, ...]:
    """The strides of a C-contiguous array."""
    strides = []
    step = item_bytes
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def lies_within(
    size_bytes: int, offset: int, shape: Sequence[int], strides: Sequence[int], item_bytes: int
) -> bool:
    """Whether all bytes of an array lie among the first `size_bytes`.

    NumPy does not see to that: `np.ndarray(..., offset=-1)` begins before its buffer.
    """
    if len(shape) != len(strides) or offset < 0 or offset > size_bytes:
        return False
    low, high = offset, offset + item_bytes
    is_empty = False
    for length, stride in zip(shape, strides, strict=True):
        if length < 0:
            return False
        is_empty |= length == 0
        if stride < 0:
            low += (length - 1) * stride
        else:
            high += (length - 1) * stride
    return is_empty or (low >= 0 and high <= size_bytes)
