"""Pins: who has a slot's very pages in use beyond its mapping, as a GPU's driver has.

Memory that is registered with a driver stays where it is, whatever becomes of the file. A slot that
is given back to the machine loses its pages; were it filled again, the GPU would read those of
before, and nobody would notice. So a pinned slot has one more lock, on a byte of its own, which
its owner needs to give the memory back. The lock is that of the pinning process's description, so
a process that is killed pins nothing any more.
"""

from __future__ import annotations

import os

from minipipe.shm.locks import read_lock, unlock, write_lock

_FIRST = 1 << 20  # the locks on bytes before that are the slots' own


class PinnedArena:
    """An arena of which this process pins slots.

    Args:
        fd: A descriptor of the arena's file, which is opened anew.

    Raises:
        OSError: This process may have no more descriptors.
    """

    def __init__(self, fd: int) -> None:
        self.fd = -1
        self.fd = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)

    def pin(self, index: int) -> bool:
        """Keeps a slot's pages, while this process counts on the slot; False if it may not."""
        return read_lock(self.fd, _FIRST + index)

    def unpin(self, index: int) -> None:
        """The pages may go."""
        unlock(self.fd, _FIRST + index)

    def close(self) -> None:
        """Pins nothing any more."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


def begin_removal(fd: int, index: int) -> bool:
    """Whether nobody pins a slot, nor can before `end_removal`; the owner asks that."""
    return write_lock(fd, _FIRST + index)


def end_removal(fd: int, index: int) -> None:
    """The slot may be pinned again."""
    unlock(fd, _FIRST + index)
