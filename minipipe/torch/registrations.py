"""Slots that are registered with a device's driver, so that it copies straight from there.

Each in a second mapping, read-only and made for that: in the arena's own, isolation puts other
pages under the same addresses, and a reader closes it when it likes.
"""

from __future__ import annotations

import os
from collections import Counter

from minipipe.process.logs import logger
from minipipe.shm.handle import SlotHandle
from minipipe.shm.mapping import HUGE_BYTES, PAGE_BYTES, Mapping
from minipipe.shm.pins import PinnedArena
from minipipe.torch.budget import PinnedBudget
from minipipe.torch.driver import Driver, RefusedError

IDLE_S = 30.0

Key = tuple[int, int]  # of a slot: id of its arena, index


class Registration:
    """A slot that is registered.

    Attributes:
        address: Where it begins, in the mapping that is registered.
    """

    __slots__ = ("address", "key", "mapping")

    def __init__(self, key: Key, mapping: Mapping) -> None:
        self.key = key
        self.mapping = mapping
        self.address = mapping.address


class Registrations:
    """All of one process, for one device.

    Args:
        driver: The device's.
        limit_bytes: How much may be pinned at a time.
    """

    def __init__(self, driver: Driver, limit_bytes: int) -> None:
        self.budget: PinnedBudget[Key] = PinnedBudget(limit_bytes)
        self._driver = driver
        self._known: dict[Key, Registration] = {}
        self._arenas: dict[int, PinnedArena] = {}
        self._busy: Counter[Key] = Counter()
        self._told = False
        self._tried = False
        self._used_at_s: dict[Key, float] = {}

    def borrow(self, held: SlotHandle, now_s: float) -> Registration | None:
        """Returns a slot's registration, which stays until `give_back`; None: copy it elsewhere.

        Args:
            held: The slot, which this process counts on.
            now_s: By a clock that goes on.
        """
        key = held.arena.id, held.index
        found = self._known.get(key)
        if found is None:
            found = self._registered(key, held)
            if found is None:
                return None
        else:
            self.budget.used(key)
        self._busy[key] += 1
        self._used_at_s[key] = now_s
        return found

    def give_back(self, registration: Registration) -> None:
        """The device does not read there any more, as far as this one is concerned."""
        key = registration.key
        self._busy[key] -= 1
        if not self._busy[key]:
            del self._busy[key]

    def close(self) -> None:
        """Lets go of everything; no copy may be under way."""
        for key in list(self._known):
            self._unregister(key)
        for arena in self._arenas.values():
            arena.close()
        self._arenas.clear()
        self._busy.clear()

    def tend(self, now_s: float) -> None:
        """Lets go of what was not used for a while: its owner may want to give it back."""
        for key, used_at_s in list(self._used_at_s.items()):
            if now_s - used_at_s > IDLE_S and key not in self._busy:
                self._unregister(key)

    def _registered(self, key: Key, held: SlotHandle) -> Registration | None:
        size_bytes = held.arena.slot_bytes
        gone = self.budget.room_for(size_bytes, self._busy)
        if gone is None or not self._driver_does():
            return None
        for other in gone:
            self._unregister(other)
        arena = self._arenas.get(key[0])
        try:
            if arena is None:
                arena = self._arenas[key[0]] = PinnedArena(held.arena.fd)
            mapping = Mapping(arena.fd, size_bytes, held.arena.offset(held.index), readonly=True)
        except OSError:
            return None  # the process may map no more: what is copied elsewhere needs no mapping
        # Its owner gives it back to the machine just now, or has the lock for a moment.
        if not arena.pin(held.index):
            return None
        if size_bytes % HUGE_BYTES == 0:
            mapping.collapse(0, size_bytes)  # what is pinned can be collapsed no more
        try:
            self._driver.register(mapping.address, size_bytes)
        except RefusedError as error:
            self._driver.clear_error()
            arena.unpin(held.index)
            self.budget.refused()
            self._tell(error)
            return None
        found = self._known[key] = Registration(key, mapping)
        self.budget.add(key, size_bytes)
        return found

    def _driver_does(self) -> bool:
        """Whether the driver registers such memory at all: tried once, with a page."""
        if not self._tried:
            self._tried = True
            mapping = _page()
            try:
                self._driver.register(mapping.address, PAGE_BYTES)
                self._driver.unregister(mapping.address)
            except RefusedError as error:
                self._driver.clear_error()
                self.budget.refused()
                self._tell(error)
        return self.budget.limit_bytes > 0

    def _unregister(self, key: Key) -> None:
        registration = self._known.pop(key)
        self._used_at_s.pop(key, None)
        # Before it is unmapped: the driver would not find it afterwards.
        self._driver.unregister(registration.address)
        self.budget.remove(key)
        arena = self._arenas[key[0]]
        arena.unpin(key[1])
        if not any(other[0] == key[0] for other in self._known):
            del self._arenas[key[0]]
            arena.close()

    def _tell(self, error: RefusedError) -> None:
        if not self._told:
            self._told = True
            logger.warning(
                "shared memory cannot be registered with the GPU's driver%s (%s): it is copied "
                "to pinned buffers first, which takes more of the CPU",
                " beyond what is" if self._known else "",
                str(error),  # not the error, whose traceback keeps what there was to copy
            )


def _page() -> Mapping:
    fd = os.memfd_create("minipipe-probe", os.MFD_CLOEXEC)
    try:
        os.posix_fallocate(fd, 0, PAGE_BYTES)
        return Mapping(fd, PAGE_BYTES, readonly=True)
    finally:
        os.close(fd)
