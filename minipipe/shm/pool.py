"""The slots that a process writes its arrays into."""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Literal

import numpy as np

from minipipe.shm import forks
from minipipe.shm.allocator import (
    SWEEP,
    SWEEP_BEFORE_GROWTH,
    SlotKey,
    Slots,
    size_class,
    slots_per_arena,
)
from minipipe.shm.arena import Allocate, Arena, make_arena
from minipipe.shm.copying import copy
from minipipe.shm.handle import RefCounts, SlotHandle
from minipipe.shm.mapping import PAGE_BYTES
from minipipe.shm.memory_limits import available_bytes, memory_limit_bytes
from minipipe.shm.support import supported
from minipipe.shm.view import Array

MIN_BYTES: Final = 64 * 1024

_TEND_S: Final = 1.0
_LOOK_S: Final = 0.1  # how long the amount of available memory is believed, and a refusal holds


def _refuse(fd: int, offset: int, size_bytes: int) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


class OwnedSlot(SlotHandle):
    """A slot of this process; what is in it may be written until the first reader has it."""

    __slots__ = ()

    def fill(self, contents: Array) -> None:
        """Writes an array, uint8[at most size_bytes], to the beginning of the slot."""
        arena = self.arena
        begin = arena.offset(self.index)
        copy(arena.memory[begin : begin + contents.size], contents)

    @property
    def memory(self) -> memoryview:
        """Its bytes, to be written; the slot stays as long as this or a part of it does."""
        return self.bytes_seen(readonly=False).data

    def array(
        self, shape: int | Sequence[int], dtype: Any, order: Literal["C", "F"] = "C"
    ) -> Array:
        """Returns a writable array at the beginning of the slot, not initialised."""
        return np.ndarray(shape, dtype, buffer=self.bytes_seen(readonly=False), order=order)


# Looked up once: that takes a millisecond, and whom a zygote forks need not look it up again.
_memory_bytes = cache(memory_limit_bytes)


class SlotPool(RefCounts):
    """All slots of one process.  It may be used from any thread.

    Args:
        limit_bytes: What they may come to; a quarter of the machine's or container's memory if
            None.  It stands for one process: workers side by side each get a share of it.
        min_bytes: Smaller arrays are not worth a slot.
        available: Says how many bytes the machine or container has left.
        allocate: Allocates memory as `os.posix_fallocate` does.
    """

    def __init__(
        self,
        limit_bytes: int | None = None,
        min_bytes: int = MIN_BYTES,
        *,
        available: Callable[[], int] = available_bytes,
        allocate: Allocate | None = None,
    ) -> None:
        super().__init__()
        memory_bytes = _memory_bytes()
        self.limit_bytes = memory_bytes // 4 if limit_bytes is None else limit_bytes
        self.min_bytes = min_bytes
        self._available = available
        # Not a default, because macOS does not have it.
        fallocate: Allocate = getattr(os, "posix_fallocate", _refuse)
        self._allocate = allocate or fallocate
        self._reserve_bytes = memory_bytes // 32  # left to all others on the machine
        self._usable = supported()
        self._begin()
        if self._usable:
            self.watch = forks.watch(self)

    def _begin(self) -> None:
        self._slots = Slots(self.limit_bytes, PAGE_BYTES)
        self._arenas: dict[int, Arena] = {}
        self._next_arena = 0
        self._numbers: dict[Arena, int] = {}
        self._taken: dict[SlotKey, OwnedSlot] = {}
        self._tend_at_s = self._look_at_s = self._grow_at_s = 0.0
        self._left_bytes = 0

    @property
    def warm_bytes(self) -> int:
        """The memory that its slots have."""
        return self._slots.warm_bytes

    def take(self, size_bytes: int) -> OwnedSlot | None:
        """Returns a slot for so many bytes, with a count of one; None if there is none now.

        None means: too small, over the limit, memory full, or closed or not supported.  The array
        then travels inside its message.  It never waits.
        """
        if size_bytes < self.min_bytes or not self._usable:
            return None
        with self.lock:
            now_s = time.monotonic()
            self._drain()
            if now_s >= self._tend_at_s:
                self._tend(now_s)
            class_bytes = size_class(size_bytes, PAGE_BYTES)
            key = self._find(class_bytes)
            if key is None and self._sweep(SWEEP_BEFORE_GROWTH, now_s):
                key = self._find(class_bytes)
            if key is None and now_s >= self._grow_at_s:
                key = self._grow(class_bytes, now_s)
            return None if key is None else self._hand_out(key, size_bytes)

    def empty(
        self, shape: int | Sequence[int], dtype: Any, order: Literal["C", "F"] = "C"
    ) -> Array | None:
        """Returns an array in a slot of its own, not initialised; None if there is none."""
        dtype = np.dtype(dtype)
        if dtype.hasobject:
            return None
        lengths = (shape,) if isinstance(shape, int) else shape
        slot = self.take(math.prod(lengths) * dtype.itemsize)
        if slot is None:
            return None
        try:
            return slot.array(shape, dtype, order)
        finally:
            slot.release()  # from here on only the array counts

    def tend(self, now_s: float | None = None) -> None:
        """Gives back memory that nobody wants.

        `take` does so too; an idle process calls it about once a second.
        """
        if self._usable:
            with self.lock:
                self._drain()
                self._tend(time.monotonic() if now_s is None else now_s)

    def close(self) -> None:
        """Makes no more slots; memory that arrays still see goes with the last of them."""
        with self.lock:
            self._usable = False
            self._abandon()
        self._end_watch()

    # ------------------------------------------------------------------
    def _hand_out(self, key: SlotKey, size_bytes: int) -> OwnedSlot:
        arena = self._arenas[key.arena]
        arena.used(key.slot)
        slot = OwnedSlot(self, arena, key.slot, size_bytes)
        self._slots.taken(key)
        self._taken[key] = slot
        return slot

    def _freed(self, held: SlotHandle) -> None:
        key = SlotKey(self._numbers[held.arena], held.index)
        del self._taken[key]
        if held.is_isolated:
            if not held.unisolate():
                return  # used for good: what is written to it here would reach nobody
            held.arena.mapping.populate(held.arena.offset(held.index), held.arena.slot_bytes)
        self._slots.released(key, time.monotonic())

    def _find(self, class_bytes: int) -> SlotKey | None:
        """A slot with memory that no process counts on."""
        for key in self._slots.candidates(class_bytes):
            if self._arenas[key.arena].renew(key.slot):
                return key
            self._slots.busy(key)
        return None

    def _sweep(self, most: int, now_s: float) -> bool:
        """Asks again for held slots of any size; whether one was found to be free."""
        found = False
        for key in self._slots.overdue(most):
            if self._arenas[key.arena].renew(key.slot):
                self._slots.released(key, now_s)
                found = True
            else:
                self._slots.busy(key)
        return found

    def _grow(self, class_bytes: int, now_s: float) -> SlotKey | None:
        """A cold slot that has got its memory."""
        slots = self._slots
        for key in slots.surplus(now_s, class_bytes):
            self._give_back(key, now_s)
        if not slots.has_room(class_bytes):
            return None
        try:
            self._look(class_bytes, now_s)
            cold = slots.cold(class_bytes) or self._open(class_bytes)
            if cold is None:
                return None
            # Its references are void since `renew` was last called, so it need not be now.
            self._arenas[cold.arena].allocate(cold.slot, self._allocate)
        except OSError:
            self._grow_at_s = now_s + _LOOK_S  # to find out again would cost as much
            return None
        self._left_bytes -= class_bytes
        return cold

    def _open(self, class_bytes: int) -> SlotKey | None:
        if not self._slots.may_open():
            self._close_empty()
        if not self._slots.may_open():
            return None
        count = slots_per_arena(class_bytes)
        arena = make_arena(count, class_bytes, self._allocate)
        number, self._next_arena = self._next_arena, self._next_arena + 1
        self._arenas[number] = arena
        self._numbers[arena] = number
        self._slots.opened(number, class_bytes, count)
        return self._slots.cold(class_bytes)

    def _look(self, size_bytes: int, now_s: float) -> None:
        """Raises `OSError` if too little memory would be left to others."""
        if now_s >= self._look_at_s or self._left_bytes < size_bytes:
            self._left_bytes = self._available() - self._reserve_bytes
            self._look_at_s = now_s + _LOOK_S
        if self._left_bytes < size_bytes:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def _tend(self, now_s: float) -> None:
        self._tend_at_s = now_s + _TEND_S
        slots = self._slots
        self._sweep(SWEEP, now_s)
        slots.swept(now_s)
        for key in slots.surplus(now_s):
            self._give_back(key, now_s)
        self._close_empty()

    def _give_back(self, key: SlotKey, now_s: float) -> None:
        arena = self._arenas[key.arena]
        if not arena.renew(key.slot):
            self._slots.busy(key)
        elif arena.give_back(key.slot):
            self._slots.cooled(key)

    def _close_empty(self) -> None:
        for number in self._slots.empty_arenas():
            self._slots.closed(number)
            arena = self._arenas.pop(number)
            del self._numbers[arena]
            arena.close()

    def _abandon(self) -> None:
        for slot in self._taken.values():
            slot.ref_counts = None
        self.ended.clear()
        for arena in self._arenas.values():
            arena.close()
        self._begin()

    def after_fork_in_child(self) -> None:
        """Begins anew: the slots are the parent's, and stay as they are while it counts on them.

        Arrays that the child has inherited stay readable; the parent may write their slots anew
        once its own are gone.
        """
        self._abandon()
        self.lock.release()
