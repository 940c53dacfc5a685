"""Where an array's memory is, so that it can be passed on without a copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minipipe.shm.extent import lies_within
from minipipe.shm.handle import Array, SlotHandle, View


@dataclass(frozen=True, slots=True)
class Place:
    """An array as a part of a slot.

    Attributes:
        held: The slot, a process's own or borrowed; whoever sends its `reference()` retains it
            until the other side has borrowed it.
        offset: Where in the slot its first element is, in bytes.
    """

    held: SlotHandle
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]


def find_slot(array: Array) -> Place | None:
    """Finds the slot that an array, or what it is a view of, lies in; None if in none.

    None also for an empty array, for a private or isolated one (others cannot see what was written
    there), and for one that was inherited over a fork or outlived its pool.
    """
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.obj if isinstance(base, memoryview) else base.base
    if type(base) is not View or base.apart is not None or not array.size:
        return None
    held = base.held
    if held.ref_counts is None or held.is_isolated:
        return None
    offset = array.__array_interface__["data"][0] - held.address
    # np.lib.stride_tricks can make views of what is beside the slot.
    if not lies_within(held.size_bytes, offset, array.shape, array.strides, array.itemsize):
        return None
    return Place(held, offset, array.shape, array.strides, array.dtype)
