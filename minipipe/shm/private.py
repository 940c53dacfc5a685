"""Private mappings of slots, used again and again.

What is written through one stays in this process, page by page (MAP_PRIVATE). To map a slot of
600 kB, have its page faults and unmap it takes 40 us, more than to copy it; but pages that nobody
has written to are those of the slot, so a mapping of it that was seen is as good for what the slot
holds next. Which pages were written, the kernel says: they are anonymous.

The same answer lets an array that lies in one be passed on by reference, if it was not written to.
What is written later reaches nobody either.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right, insort
from typing import Any
from weakref import ref

from minipipe.shm.mapping import PAGE_BYTES, Mapping

_PAGEMAP = "/proc/self/pagemap"
# Of the last byte of an entry (Documentation/admin-guide/mm/pagemap.rst): the page is one of a file
# or of shared memory; swapped out; present.
_OF_FILE, _SWAPPED, _PRESENT = 0x20, 0x40, 0x80
_ENTRY_BYTES = 8  # of a machine with the low byte first
_UNWRITTEN = bytes(
    last for last in range(256) if last & _OF_FILE or not last & (_SWAPPED | _PRESENT)
)

SPARES = 128  # each is a mapping of the process, of which the kernel lets it have 65,530
SPARES_OF_SLOT = 2
COPIED_PARCELS = 31  # before it is tried again whether a private mapping pays


class PrivateMapping(Mapping):
    """A private mapping of one slot.

    Attributes:
        held: The slot, a SlotHandle, as whoever sees it through this counts on it; None while
            nobody does.  (Of any type, as handles know of mappings, and not the other way round.)
        pages: Says which of its pages were written to.
    """

    __slots__ = ("__weakref__", "held", "pages")

    def __init__(self, fd: int, size_bytes: int, offset: int, pages: WrittenPages) -> None:
        super().__init__(fd, size_bytes, offset, private=True)
        self.held: Any = None
        self.pages = pages
        _addresses.add(self)

    def is_as_it_was(self, offset: int = 0, size_bytes: int | None = None) -> bool:
        """Whether nothing was written to the pages of a part of it; False if nobody can tell."""
        length = self.size_bytes if size_bytes is None else size_bytes
        return not self.pages.count_in(self.address + offset, length)


class WrittenPages:
    """Which pages of private mappings this process has written to.  `close` closes its file."""

    def __init__(self) -> None:
        # By process: the file is of the one that opened it, so a forked child has to do that anew.
        self._files: dict[int, int] = {}

    def count_in(self, address: int, size_bytes: int) -> int:
        """How many pages of a range were written to; all of them if the kernel does not say."""
        first = address // PAGE_BYTES
        pages = -(-(address + size_bytes) // PAGE_BYTES) - first
        try:
            fd = self._files.get(os.getpid(), -1)
            if fd < 0:
                fd = self._open()
            data = os.pread(fd, _ENTRY_BYTES * pages, _ENTRY_BYTES * first)
        except OSError:
            return pages
        last_bytes = data[_ENTRY_BYTES - 1 :: _ENTRY_BYTES]
        return len(last_bytes.translate(None, _UNWRITTEN)) if len(last_bytes) == pages else pages

    def _open(self) -> int:
        opened, pid = os.open(_PAGEMAP, os.O_RDONLY | os.O_CLOEXEC), os.getpid()
        fd = self._files.setdefault(pid, opened)
        if fd != opened:  # another thread was quicker; no lock, as a fork would copy it held
            os.close(opened)
        for other in self._files.keys() - {pid}:
            if (inherited := self._files.pop(other, -1)) >= 0:
                os.close(inherited)
        return fd

    def close(self) -> None:
        """Closes its file; it is opened again if need be."""
        while self._files:
            os.close(self._files.popitem()[1])

    def __del__(self) -> None:
        self.close()


class SpareMappings:
    """Private mappings of the slots of one arena that nobody uses just now.

    Args:
        pages: Of the process.
        room: How many more there may be, of all arenas.
        shielding: Is told what comes back.
    """

    __slots__ = ("_pages", "_room", "_shielding", "_spares")

    def __init__(self, pages: WrittenPages, room: Room, shielding: Shielding) -> None:
        self._pages = pages
        self._room = room
        self._shielding = shielding
        self._spares: dict[int, list[PrivateMapping]] = {}

    def take(self, held: Any) -> PrivateMapping:
        """Returns a mapping that shows what the slot holds.

        Raises:
            OSError: The process may not map so much.
        """
        arena, index = held.arena, held.index
        spares = self._spares.get(index)
        if spares:
            found = spares.pop()
            self._room.left += 1
        else:
            found = PrivateMapping(arena.fd, arena.slot_bytes, arena.offset(index), self._pages)
        found.held = held
        return found

    def put_back(self, mapping: PrivateMapping) -> None:
        """Keeps a mapping for the next, or lets it go; nothing here sees it any more."""
        held, mapping.held = mapping.held, None
        if held is None:
            return
        written = self._pages.count_in(mapping.address, mapping.size_bytes)
        if not held.is_isolated:  # else pages were cut off, whoever has written to them
            self._shielding.came_back(written * PAGE_BYTES, mapping.size_bytes)
        spares = self._spares.setdefault(held.index, [])
        if len(spares) == SPARES_OF_SLOT or not self._room.left:
            return
        if not written or mapping.drop(0, mapping.size_bytes):
            spares.append(mapping)
            self._room.left -= 1

    def clear(self) -> None:
        """Lets all of them go."""
        self._room.left += sum(map(len, self._spares.values()))
        self._spares.clear()


class Shielding:
    """Whether arrays side by side had better lie in a private mapping, or be copied at once.

    By what came back: a page costs 3 us when it is written to, and its copy less than 1.
    """

    __slots__ = ("_copied_parcels",)

    def __init__(self) -> None:
        self._copied_parcels = 0

    def pays(self) -> bool:
        """Whether it does for the next parcel."""
        pays = not self._copied_parcels
        self._copied_parcels -= not pays
        return pays

    def came_back(self, written_bytes: int, size_bytes: int) -> None:
        """So much of a private mapping was written to."""
        if 4 * written_bytes > size_bytes:
            self._copied_parcels = COPIED_PARCELS


class Room:
    """How many spare mappings a process may still keep."""

    __slots__ = ("left",)

    def __init__(self, left: int = SPARES) -> None:
        self.left = left


class _Addresses:
    """Where private mappings are in this process's memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sorted: list[int] = []
        self._by_address: dict[int, ref[PrivateMapping]] = {}

    def add(self, mapping: PrivateMapping) -> None:
        with self._lock:
            if len(self._sorted) > 2 * SPARES:
                self._forget_dead()
            address = mapping.address
            if address not in self._by_address:
                insort(self._sorted, address)
            self._by_address[address] = ref(mapping)

    def __bool__(self) -> bool:
        return bool(self._sorted)

    def find(self, address: int) -> PrivateMapping | None:
        """The mapping that an address lies in, if something sees a slot through it."""
        with self._lock:
            while (place := bisect_right(self._sorted, address)) > 0:
                begin = self._sorted[place - 1]
                mapping = self._by_address[begin]()
                if mapping is not None:
                    is_in = address < begin + mapping.size_bytes and mapping.held is not None
                    return mapping if is_in else None
                del self._sorted[place - 1], self._by_address[begin]
        return None

    def _forget_dead(self) -> None:
        self._by_address = {
            at: known for at, known in self._by_address.items() if known() is not None
        }
        self._sorted = sorted(self._by_address)


_addresses = _Addresses()


def are_there() -> bool:
    """Whether this process has made private mappings at all."""
    return bool(_addresses)


def mapping_at(address: int) -> PrivateMapping | None:
    """Returns the private mapping in use that an address of this process lies in."""
    return _addresses.find(address)


def after_fork_in_child() -> None:
    """Another thread of the parent may have had the lock."""
    _addresses._lock = threading.Lock()


def _register() -> None:
    register: Any = getattr(os, "register_at_fork", None)
    if register is not None:
        register(after_in_child=after_fork_in_child)


_register()
