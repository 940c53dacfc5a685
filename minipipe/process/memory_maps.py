"""Arrays that are views of files (`np.memmap`): what is to be captured is the view, not a copy."""

from __future__ import annotations

import mmap
import os
import sys
from typing import Any

import numpy as np


def reduce(array: object) -> tuple[Any, ...] | None:
    """How pickle shall take a view of a file apart; None for what is none, or not any more.

    Who loads it maps the file itself: read-only if it was, else privately.
    """
    if type(array) is not np.memmap or sys.platform != "linux":
        return None
    name, mapped = array.filename, getattr(array, "_mmap", None)
    if name is None or not isinstance(mapped, mmap.mmap) or array.mode == "c" or not array.size:
        return None
    if array.dtype.hasobject:
        return None
    low, high = _bounds(array)
    place = _place_in_file(low, os.fspath(name))
    if place is None:
        return None
    first = array.ctypes.data - low
    mode = "r" if not array.flags.writeable else "c"
    words = (
        os.path.abspath(name),
        mode,
        place,
        high - low,
        array.dtype,
        array.shape,
        array.strides,
    )
    return _map, (*words, first)


def _bounds(array: Any) -> tuple[int, int]:
    """Where its first byte in memory is, and where its last one ends."""
    reach = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
    first = array.ctypes.data
    low = first + sum(step for step in reach if step < 0)
    return low, first + sum(step for step in reach if step > 0) + array.itemsize


def _place_in_file(address: int, name: str) -> int | None:
    """Where in its file an address is mapped; None if its file is not the one of that name."""
    try:
        status = os.stat(name)
        with open("/proc/self/maps") as lines:
            for line in lines:
                addresses, _, offset, device, inode, *_ = line.split()
                begin, end = (int(each, 16) for each in addresses.split("-"))
                if begin <= address < end:
                    major, minor = (int(each, 16) for each in device.split(":"))
                    is_same = int(inode) == status.st_ino
                    is_same = is_same and os.makedev(major, minor) == status.st_dev
                    return int(offset, 16) + address - begin if is_same else None
    except OSError:
        pass  # the file is gone, or this process may not look: then it travels as a copy
    return None


def _map(
    name: str,
    mode: Any,
    place: int,
    size_bytes: int,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    first: int,
) -> Any:
    """Maps the part of the file that the array shows. (Pickles refer to it by name.)"""
    part = np.memmap(name, np.uint8, mode, place, (size_bytes,))
    array: Any = np.ndarray.__new__(np.memmap, shape, dtype, part, first, strides)
    for field in ("_mmap", "filename", "offset", "mode"):
        setattr(array, field, getattr(part, field))
    return array
