"""Arenas: anonymous files, each with slots of one size.

    page 0      magic, id, slots, bytes of a slot; from byte 64 on, each slot's generation (u64)
    page 1...   the slots; those that consist of whole huge pages begin at one

A file has room for all its slots and memory only for those that were allocated.  A generation
is written under the slot's write lock and believed under a read lock.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from minipipe.shm.locks import unlock, write_lock
from minipipe.shm.mapping import HUGE_BYTES, PAGE_BYTES, Mapping
from minipipe.shm.openness import lives
from minipipe.shm.pins import begin_removal, end_removal

NAME = "minipipe"
_MAGIC = b"MiniPipe slots 1"
_HEADER = struct.Struct("=16sQQQ")
_GENERATIONS_AT = 64
USES_BEFORE_HUGE = 256  # then it will be used thousands of times, and huge pages pay

Allocate = Callable[[int, int, int], None]  # descriptor, offset, bytes; OSError if there are none


class Arena:
    """An arena as one process sees it; closed at the latest when nothing refers to it."""

    def __init__(self, fd: int, arena_id: int, slots: int, slot_bytes: int) -> None:
        self.fd = fd
        self.id = arena_id
        self.slots = slots
        self.slot_bytes = slot_bytes
        self.pid = os.getpid()
        self._uses = [0] * slots
        try:
            self.mapping = Mapping(fd, _begin(slot_bytes) + slots * slot_bytes)
        except OSError:
            self.close()
            raise
        self.generations = (ctypes.c_uint64 * slots).from_address(
            self.mapping.address + _GENERATIONS_AT
        )
        whole = (ctypes.c_uint8 * self.mapping.size_bytes).from_address(self.mapping.address)
        # It does not keep the mapping: for use while this object is there.
        self.memory: np.ndarray[Any, np.dtype[np.uint8]] = np.frombuffer(
            memoryview(whole), np.uint8
        )

    def offset(self, index: int) -> int:
        """Where in the file a slot begins."""
        return _begin(self.slot_bytes) + index * self.slot_bytes

    def address(self, index: int) -> int:
        """Where in this process's memory a slot begins."""
        return self.mapping.address + self.offset(index)

    # ------------------------------------------------------------------ the owner's
    def allocate(self, index: int, allocate: Allocate) -> None:
        """Gives a slot its memory, all of it.

        Raises:
            OSError: There is not enough.
        """
        # A write to memory that is not there would be a SIGBUS; this is an error.
        allocate(self.fd, self.offset(index), self.slot_bytes)
        self.mapping.populate(self.offset(index), self.slot_bytes)

    def used(self, index: int) -> None:
        """Books that a slot is used once more; one that is used often gets huge pages."""
        self._uses[index] += 1
        if self._uses[index] == USES_BEFORE_HUGE and self.slot_bytes % HUGE_BYTES == 0:
            self.mapping.collapse(self.offset(index), self.slot_bytes)

    def renew(self, index: int) -> bool:
        """Whether no other process counts on the slot; if so, every reference to it is void."""
        if not write_lock(self.fd, index):
            return False
        # Who opens it from here on finds that it came too late; so the lock need not be kept.
        self.generations[index] += 1
        unlock(self.fd, index)
        return True

    def give_back(self, index: int) -> bool:
        """Gives a slot's memory back to the machine, once `renew` said that nobody counts on it.

        False if somebody pins it: then it stays as it is.
        """
        if not begin_removal(self.fd, index):
            return False
        try:
            self._uses[index] = 0
            return self.mapping.remove(self.offset(index), self.slot_bytes)
        finally:
            end_removal(self.fd, index)

    def close(self) -> None:
        """Closes the descriptor, with all its locks; the memory stays while views need it."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            # In a forked child too: the number stands for the child's own copy.
            os.close(fd)

    def __del__(self) -> None:
        self.close()


def _begin(slot_bytes: int) -> int:
    """Where in the file the first slot begins."""
    return PAGE_BYTES if slot_bytes % HUGE_BYTES else HUGE_BYTES


def make_arena(slots: int, slot_bytes: int, allocate: Allocate) -> Arena:
    """Makes an arena, of which only the first page has memory.

    Raises:
        OSError: There are no descriptors, address space or memory left.
    """
    assert _GENERATIONS_AT + 8 * slots <= PAGE_BYTES
    arena_id = secrets.randbits(63)
    fd = os.memfd_create(NAME, os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, _begin(slot_bytes) + slots * slot_bytes)
        allocate(fd, 0, PAGE_BYTES)
        os.pwrite(fd, _HEADER.pack(_MAGIC, arena_id, slots, slot_bytes), 0)
    except OSError:
        os.close(fd)
        raise
    return Arena(fd, arena_id, slots, slot_bytes)


def proc_fd_path(pid: int, fd: int) -> str:
    """Where another process finds a descriptor; opening it makes a new file description."""
    return f"/proc/{pid}/fd/{fd}"


def open_arena(pid: int, fd: int, arena_id: int) -> Arena | None:
    """Opens an arena through a process that has it; None if it is not there (any more).

    Raises:
        PermissionError: The process lives, and this one may not look into it.
        OSError: This process may have no more descriptors or address space.
    """
    at = proc_fd_path(pid, fd)
    try:
        # The number may stand for anything by now, and to open a terminal or a pipe does things.
        if not os.readlink(at).startswith(f"/memfd:{NAME} "):
            return None
        own = os.open(at, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        if not lives(pid):
            return None
        raise
    header = os.pread(own, _HEADER.size, 0)
    if len(header) == _HEADER.size:
        magic, found_id, slots, slot_bytes = _HEADER.unpack(header)
        if magic == _MAGIC and found_id == arena_id:
            return Arena(own, arena_id, slots, slot_bytes)
    os.close(own)
    return None
