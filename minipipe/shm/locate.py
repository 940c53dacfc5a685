"""Where an array's memory is, so that it can be passed on without a copy."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from minipipe.shm.extent import lies_within
from minipipe.shm.handle import SlotHandle
from minipipe.shm.private import PrivateMapping, are_there, mapping_at
from minipipe.shm.view import Array, View

_byte = ctypes.c_uint8


class Place(NamedTuple):
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

    None also for an empty array, for an isolated one or a private one that was written to (others
    cannot see that), and for one that was inherited over a fork or outlived its pool.
    """
    base: Any = array
    part: Any = None
    while type(base) is not View:
        if isinstance(base, np.ndarray):
            part, base = base, base.base
        elif type(base) is memoryview:
            view = base.obj
            base = view.base if isinstance(view, np.ndarray) else view
        else:
            # A tensor, say, which does not tell whose memory it is over.
            return _in_private(array) if are_there() else None
    held = base.held
    apart = base.apart
    if apart is not None:
        return _in_private(array) if type(apart) is PrivateMapping else None
    if held.ref_counts is None or held.is_isolated or not array.size:
        return None
    if base.places is not None:
        known = base.places.get(id(part))
        alive: Any = None if known is None else known[0]()
        if (
            known is not None
            and alive is part
            and array.nbytes == part.nbytes
            and array.flags.c_contiguous
        ):  # all of what was made when it came: nearly always, and three times as fast
            return Place(held, known[1], array.shape, array.strides, array.dtype)
    offset = _address(array) - held.address
    # np.lib.stride_tricks can make views of what is beside the slot.
    if not lies_within(held.size_bytes, offset, array.shape, array.strides, array.itemsize):
        return None
    return Place(held, offset, array.shape, array.strides, array.dtype)


def _in_private(array: Array) -> Place | None:
    """The place in the slot of what lies in a private mapping, if it is as it is there."""
    address = _address(array)
    mapping = mapping_at(address)
    held = None if mapping is None else mapping.held
    if mapping is None or held is None or held.ref_counts is None or not array.size:
        return None
    if held.is_isolated:  # the slot may have been let go
        return None
    shape, strides, dtype = array.shape, array.strides, array.dtype
    offset, size_bytes, slot_bytes = address - mapping.address, array.nbytes, held.size_bytes
    if array.flags.c_contiguous:  # nearly always
        is_as_it_was = offset + size_bytes <= slot_bytes and mapping.is_as_it_was(
            offset, size_bytes
        )
    elif not lies_within(slot_bytes, offset, shape, strides, dtype.itemsize):
        return None
    elif array.flags.f_contiguous:
        is_as_it_was = mapping.is_as_it_was(offset, size_bytes)
    else:
        is_as_it_was = mapping.is_as_it_was()
    return Place(held, offset, shape, strides, dtype) if is_as_it_was else None


def _address(array: Array) -> int:
    flags = array.flags
    if flags.writeable and flags.c_contiguous:
        try:
            lent: Any = array
            return ctypes.addressof(_byte.from_buffer(lent))  # a fifth to a half of the time
        except (TypeError, ValueError, BufferError):
            pass  # it is empty, or of a dtype that other libraries are not told of
    address: int = array.__array_interface__["data"][0]
    return address
