"""An arena of another process, as this one borrows from it."""

from __future__ import annotations

import os

from minipipe.shm.arena import Arena, proc_fd_path
from minipipe.shm.lease import Lease
from minipipe.shm.private import SpareMappings
from minipipe.shm.reference import SlotRef


class Attached:
    """An arena of another process, with what is borrowed from it and how it was come by."""

    __slots__ = ("arena", "aside", "leases", "ref", "spare_fd", "spares", "torn")

    def __init__(self, arena: Arena, ref: SlotRef, spares: SpareMappings) -> None:
        self.spares = spares
        self.arena = arena
        self.ref = ref
        # By slot: isolated ones, and after those the one that the next to borrow it gets as well.
        self.leases: dict[int, list[Lease]] = {}
        # By slot: what arrays see where the arena's mapping shows memory of this process instead.
        self.aside: dict[int, Lease] = {}
        self.torn: set[int] = set()  # where the arena's mapping is private and stays so
        self.spare_fd = -1  # for a child, during a fork

    def forget(self) -> list[Lease]:
        """Lets go of all that is borrowed from it, for good, and returns that."""
        found = [lease for leases in self.leases.values() for lease in leases]
        found += self.aside.values()
        for lease in found:
            lease.ref_counts = None
        return found

    @property
    def is_idle(self) -> bool:
        """Whether nothing is borrowed from it, nor ever lay in its mapping and is still seen."""
        return not self.leases and not self.aside

    def is_there(self) -> bool:
        """Whether the process that it was opened through still has it."""
        try:
            theirs = os.stat(proc_fd_path(self.ref.pid, self.ref.fd))
        except OSError:
            return False
        ours = os.fstat(self.arena.fd)
        return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)
