"""Pages of a file in this process's memory.

Not by `mmap.mmap`, which keeps a duplicate of the descriptor.  Nor is the descriptor itself mapped:
a mapping keeps its open file description alive, and with it the locks, after the descriptor was
closed; and in a forked child it would keep those of a parent that was killed.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

PAGE_BYTES = mmap.PAGESIZE
HUGE_BYTES = 2 * 1024 * 1024  # of x86-64 and, with pages of 4 KiB, of arm64
_MAP_FIXED = 0x10
_MAP_NORESERVE = 0x4000
_MADV_DONTNEED = 4
_MADV_REMOVE = 9
_MADV_NOHUGEPAGE = 15
_MADV_POPULATE_WRITE = 23  # Linux 5.14
_MADV_COLLAPSE = 25  # Linux 6.1; whatever transparent_hugepage/shmem_enabled says
_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2
_FAILED = ctypes.c_void_p(-1).value


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform != "win32" else None


def _function(name: str, *argument_types: Any) -> Any:
    """A function of the C library's; None on Windows, which has no such and no slots."""
    if _libc is None:
        return None
    function = getattr(_libc, name)
    function.argtypes = argument_types
    return function


_pointer, _size, _int = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_mmap = _function("mmap", _pointer, _size, _int, _int, _int, ctypes.c_long)
_munmap = _function("munmap", _pointer, _size)
_madvise = _function("madvise", _pointer, _size, _int)
_mremap = _function("mremap", _pointer, _size, _size, _int, _pointer)
if _mmap is not None:
    _mmap.restype = _mremap.restype = _pointer


class Mapping:
    """Memory at `address`, until this object dies.

    Args:
        fd: The file, which is opened anew for this; it may be closed afterwards.
        size_bytes: How much of it.
        offset: From where, a multiple of the page size.
        private: Whether writes stay here, page by page (MAP_PRIVATE).
        readonly: Whether it cannot be written to.

    Raises:
        OSError: The process may not map so much.
    """

    __slots__ = ("address", "size_bytes")

    def __init__(
        self,
        fd: int,
        size_bytes: int,
        offset: int = 0,
        *,
        private: bool = False,
        readonly: bool = False,
    ) -> None:
        self.size_bytes = 0
        at = _reserved(size_bytes) if size_bytes >= HUGE_BYTES else None
        try:
            self.address = _map(at, fd, size_bytes, offset, private=private, readonly=readonly)
        except OSError:
            if at is not None:
                _munmap(at, size_bytes)
            raise
        self.size_bytes = size_bytes

    def remap(self, fd: int, at: int, size_bytes: int, offset: int, *, private: bool) -> None:
        """Maps a range, from byte `at` on, anew in its place; what had been private there is gone.

        Raises:
            OSError: The process may not map so much, or not in so many pieces.
        """
        assert at >= 0 and at + size_bytes <= self.size_bytes
        _map(self.address + at, fd, size_bytes, offset, private=private)

    def replace(self, at: int, size_bytes: int, kept: Iterable[tuple[int, int]]) -> None:
        """Puts memory of this process's own in the place of a range, with a copy of parts of it.

        Who looks at these parts meanwhile, in any thread, sees no change.  What is not kept takes
        no memory.

        Args:
            at: Where the range begins, in bytes.
            size_bytes: Its length, whole pages.
            kept: Begin and end of what is kept, from the beginning of the range on.

        Raises:
            OSError: The process may not map so much, or not in so many pieces.
        """
        assert at >= 0 and at + size_bytes <= self.size_bytes
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        fresh = _mmap(None, size_bytes, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        code = ctypes.get_errno()
        if fresh is None or fresh == _FAILED:
            raise OSError(code, f"mmap of {size_bytes} bytes: {os.strerror(code)}")
        # Else a page that is kept would bring 2 MiB with it.
        _madvise(fresh, size_bytes, _MADV_NOHUGEPAGE)
        address = self.address + at
        for begin, end in kept:
            ctypes.memmove(fresh + begin, address + begin, end - begin)
        # The kernel does this in one step, which no page fault can come into.
        moved = _mremap(
            fresh, size_bytes, size_bytes, _MREMAP_MAYMOVE | _MREMAP_FIXED, _pointer(address)
        )
        code = ctypes.get_errno()
        if moved is None or moved == _FAILED:
            _munmap(fresh, size_bytes)
            raise OSError(code, f"mremap of {size_bytes} bytes: {os.strerror(code)}")

    def populate(self, offset: int, size_bytes: int) -> bool:
        """Has the page faults of a range in one go, in half the time; False if that failed.

        As if it was written to, but that nothing changes, whoever writes there meanwhile: so of a
        private mapping, the pages are this process's own from then on.
        """
        return bool(_madvise(self.address + offset, size_bytes, _MADV_POPULATE_WRITE) == 0)

    def collapse(self, offset: int, size_bytes: int) -> bool:
        """Makes huge pages of a range, for everybody; False if that failed, which is no harm.

        A copy of 38.5 MB into them took 2.5 ms where small pages took 3.1; this took 10 to 100 ms.
        """
        return bool(_madvise(self.address + offset, size_bytes, _MADV_COLLAPSE) == 0)

    def remove(self, offset: int, size_bytes: int) -> bool:
        """Gives the memory of a range back to the machine, everywhere; False if that failed."""
        return bool(_madvise(self.address + offset, size_bytes, _MADV_REMOVE) == 0)

    def drop(self, offset: int, size_bytes: int) -> bool:
        """Forgets what was written to a range of a private mapping; False if that failed."""
        return bool(_madvise(self.address + offset, size_bytes, _MADV_DONTNEED) == 0)

    def __del__(self, munmap: Any = _munmap) -> None:
        if self.size_bytes:
            munmap(self.address, self.size_bytes)


def _reserved(size_bytes: int) -> int:
    """Address space at a multiple of HUGE_BYTES, where huge pages can be mapped as such."""
    wanted = size_bytes + HUGE_BYTES
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    start = _mmap(None, wanted, 0, flags, -1, 0)
    code = ctypes.get_errno()
    if start is None or start == _FAILED:
        raise OSError(code, f"mmap of {wanted} bytes: {os.strerror(code)}")
    address: int = -(-start // HUGE_BYTES) * HUGE_BYTES
    end = address + size_bytes
    if address > start:
        _munmap(start, address - start)
    if start + wanted > end:
        _munmap(end, start + wanted - end)
    return address


def _map(
    at: int | None,
    fd: int,
    size_bytes: int,
    offset: int,
    *,
    private: bool,
    readonly: bool = False,
) -> int:
    # Without NORESERVE the kernel refuses private mappings that it could not copy in full.
    flags = mmap.MAP_PRIVATE | _MAP_NORESERVE if private else mmap.MAP_SHARED
    if at is not None:
        flags |= _MAP_FIXED
    protection = mmap.PROT_READ if readonly else mmap.PROT_READ | mmap.PROT_WRITE
    apart = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY if readonly else os.O_RDWR)
    address = _mmap(at, size_bytes, protection, flags, apart, offset)
    code = ctypes.get_errno()
    os.close(apart)
    if address is None or address == _FAILED:
        raise OSError(code, f"mmap of {size_bytes} bytes: {os.strerror(code)}")
    found: int = address
    return found


@cache
def can_cut_off() -> bool:
    """Whether `populate` works here: on Linux 5.14 and later."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    page = _mmap(None, PAGE_BYTES, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if page is None or page == _FAILED:
        return False
    try:
        return bool(_madvise(page, PAGE_BYTES, _MADV_POPULATE_WRITE) == 0)
    finally:
        _munmap(page, PAGE_BYTES)
