"""Memory in which the large buffers of a functor lie once, for all its workers and passes.

It is anonymous (memfd), so nothing is left of it after the end. Each worker maps it privately:
what it writes to an array that the functor has captured, nobody else sees.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from minipipe.segments.segment import Segment
from minipipe.shm import available_bytes
from minipipe.shm.copying import copy
from minipipe.worker.pickled_functor import Extent

SHARED_FROM_BYTES = 65_536
_PAGE_BYTES = mmap.PAGESIZE

Buffers = Sequence[memoryview]


class HasDescriptor(Protocol):
    """Memory that a worker is given by its descriptor."""

    fd: int


class FunctorMemory:
    """The memory of one segment's functor, written once."""

    def __init__(self, buffers: Buffers) -> None:
        """Copies the buffers.

        Raises:
            OSError: There is no such memory, or not enough.
        """
        self.extents = _extents(buffers)
        last = self.extents[-1]
        size_bytes = max(1, last.offset + last.size_bytes)
        if available_bytes() < size_bytes:
            raise MemoryError(f"{size_bytes} bytes are wanted")
        self.fd = os.memfd_create("minipipe-functor", os.MFD_CLOEXEC)
        # A write to memory that is not there would be a SIGBUS; this is an error.
        os.posix_fallocate(self.fd, 0, size_bytes)
        mapped = mmap.mmap(self.fd, size_bytes)
        for extent, buffer in zip(self.extents, buffers, strict=True):
            target = np.frombuffer(mapped, np.uint8, extent.size_bytes, extent.offset)
            copy(target, np.frombuffer(buffer, np.uint8))

    def holds(self, buffers: Buffers) -> bool:
        """Whether it has just these contents, which the script may have changed since."""
        if self.extents != _extents(buffers):
            return False
        mapped = mmap.mmap(self.fd, 0, prot=mmap.PROT_READ)
        return all(
            _is_same(np.frombuffer(mapped, np.uint8, extent.size_bytes, extent.offset), buffer)
            for extent, buffer in zip(self.extents, buffers, strict=True)
        )

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if hasattr(self, "fd"):
            close(self.fd)  # (at the interpreter's end there may be no `os` here any more)


def memory_for(segment: Segment, buffers: Buffers) -> FunctorMemory | None:
    """The memory of a segment's functor: that of the pass before, if it holds the same.

    None where there is none to be had.
    """
    memory = _memories.get(segment)
    if memory is not None and memory.holds(buffers):
        return memory
    _memories.pop(segment, None)  # workers that still run have their own descriptors
    del memory
    try:
        made = FunctorMemory(buffers)
    except (OSError, AttributeError, MemoryError):
        return None
    _memories[segment] = made
    return made


def forget(segment: Segment) -> None:
    """Gives up the memory of a functor that has nothing large any more."""
    _memories.pop(segment, None)


_memories: WeakKeyDictionary[Segment, FunctorMemory] = WeakKeyDictionary()


def _extents(buffers: Buffers) -> tuple[Extent, ...]:
    found = []
    offset = 0
    for buffer in buffers:
        found.append(Extent(offset, buffer.nbytes, buffer.readonly))
        # At pages of its own: a write copies no page of another one.
        offset += -(-buffer.nbytes // _PAGE_BYTES) * _PAGE_BYTES
    return tuple(found)


def _is_same(kept: np.ndarray[Any, np.dtype[np.uint8]], buffer: memoryview) -> bool:
    now = np.frombuffer(buffer, np.uint8)
    return not _memcmp(kept.ctypes.data, now.ctypes.data, kept.size)


_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
_memcmp.restype = ctypes.c_int
