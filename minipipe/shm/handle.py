"""Slots that this process counts on, and the arrays that see them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque

import numpy as np

from minipipe.errors.cause import because
from minipipe.shm.arena import Arena
from minipipe.shm.errors import SlotError
from minipipe.shm.forks import Watch
from minipipe.shm.mapping import Mapping
from minipipe.shm.private import PrivateMapping
from minipipe.shm.reference import SlotRef
from minipipe.shm.view import Array, Places, View


class SlotHandle:
    """A slot that keeps its contents while anything in this process counts on it.

    It is made with a count of one, which is its maker's to release; each array counts as well.

    Args:
        own: A mapping of this slot alone, if it is not to be seen in the arena's.

    Attributes:
        ref_counts: Who does the counting; None once it has let go of the slot, for good.
        size_bytes: How much of the slot may be seen.
        writers: How many of the arrays, with all their views, can be written to so that others
            see it.
        is_isolated: Whether no array here shows any more what others see: see `isolate`.
    """

    __slots__ = (
        "arena",
        "count",
        "generation",
        "index",
        "is_isolated",
        "own",
        "ref_counts",
        "size_bytes",
        "writers",
    )

    def __init__(
        self,
        ref_counts: RefCounts,
        arena: Arena,
        index: int,
        size_bytes: int,
        own: Mapping | None = None,
    ) -> None:
        self.ref_counts: RefCounts | None = ref_counts
        self.arena = arena
        self.index = index
        self.generation: int = arena.generations[index]
        self.size_bytes = size_bytes
        self.own = own
        self.count = 1
        self.writers = 0
        self.is_isolated = False

    @property
    def address(self) -> int:
        """Where it begins in this process's memory."""
        return self.arena.address(self.index) if self.own is None else self.own.address

    def reference(self) -> SlotRef:
        """What another process needs to borrow it, while this one counts on it."""
        arena = self.arena
        words = arena.pid, arena.fd, arena.id, self.index, self.generation
        return tuple.__new__(SlotRef, words)  # as SlotRef() is a call of Python

    def retain(self) -> None:
        """Counts on the slot once more, until `release`."""
        ref_counts = self.ref_counts
        if ref_counts is not None:
            with ref_counts.lock:
                assert self.count > 0, "this slot was let go"
                self.count += 1

    def release(self) -> None:
        """Counts on the slot once less."""
        ref_counts = self.ref_counts
        if ref_counts is not None:
            with ref_counts.lock:
                ref_counts.release(self)

    def bytes_seen(
        self, *, readonly: bool, private: Mapping | None = None, places: Places | None = None
    ) -> Array:
        """Returns a new uint8 array over the slot, which counts until its last view has died."""
        size = (self.size_bytes,)
        return self.seen("|u1", size, (1,), 0, readonly=readonly, apart=private, places=places)

    def frame(self, offset: int, size_bytes: int) -> memoryview:
        """Returns a part of the slot, to be read by what reads it later: ZeroMQ, or a driver.

        It is a view of a read-only mapping of its own, which isolation never touches. (In the
        arena's, isolation puts private pages under it: what the functor wrote to its array after
        that was sent would go out with the message.) The slot counts until it has died.

        Raises:
            SlotError: This process may not map more memory.
        """
        arena = self.arena
        try:
            apart = Mapping(arena.fd, arena.slot_bytes, arena.offset(self.index), readonly=True)
        except OSError as exc:
            raise because(SlotError(arena.pid, str(exc)), exc) from exc
        return self.seen("|u1", (size_bytes,), (1,), offset, readonly=True, apart=apart).data

    def seen(
        self,
        typestr: str,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int,
        *,
        readonly: bool,
        apart: Mapping | None = None,
        places: Places | None = None,
    ) -> Array:
        """Returns a new array over a part of the slot, which counts until its last view has died.

        Args:
            typestr: Of NumPy's array interface.
            shape: That all lies within the slot is for the caller to see to.
            strides: In bytes.
            offset: In bytes.
            readonly: Whether it cannot be written to.
            apart: A mapping of the slot to see it in instead, private or read-only: what is
                written through it reaches nobody.
        """
        view = View()
        writes = not readonly and apart is None
        ref_counts = self.ref_counts
        if ref_counts is not None:
            with ref_counts.lock:
                assert self.count > 0, "this slot was let go"
                self.count += 1
                self.writers += writes
        view.held = self
        view.apart = apart
        view.places = places
        view.writes = writes
        address = self.address if apart is None else apart.address
        view.__array_interface__ = {
            "version": 3,
            "typestr": typestr,
            "shape": shape,
            "strides": strides,
            "data": (address + offset, readonly),
        }
        return np.asarray(view)

    # ------------------------------------------------------------------ isolation
    def isolate(self) -> None:
        """Cuts the arrays that this process has over the slot off from all others, for good.

        They keep their contents, and what is written to them from here on reaches nobody.  For
        `find_slot` they lie in no slot any more.  References to the slot stay good, and it stays
        as it is, as long as anything counts on it.

        (Pages that were not written since are still those of the slot: the contents stay only
        because nobody else may write to it either.)

        Raises:
            SlotError: This process may not map more memory.  Nothing has changed.
        """
        ref_counts = self.ref_counts
        if ref_counts is not None:
            with ref_counts.lock:
                if self.ref_counts is ref_counts and not self.is_isolated:
                    try:
                        self._remap(private=True)
                    except OSError as exc:
                        raise because(SlotError(self.arena.pid, str(exc)), exc) from exc
                    self.is_isolated = True

    def unisolate(self) -> bool:
        """Maps what `isolate` cut off as it was; False if that failed.  For its ref_counts only.

        No array may be left that lies there.
        """
        try:
            self._remap(private=False)
        except OSError:
            return False
        return True

    def _remap(self, *, private: bool) -> None:
        arena = self.arena
        offset = arena.offset(self.index)
        if self.own is None:
            arena.mapping.remap(arena.fd, offset, arena.slot_bytes, offset, private=private)
        else:
            self.own.remap(arena.fd, 0, arena.slot_bytes, offset, private=private)


class RefCounts(ABC):
    """Counts who counts on slots.

    Attributes:
        lock: Over all counts.  Nothing waits while it holds it.
        ended: For each array whose last view has died and that was not yet counted, its slot,
            whether it was one of the slot's writers, and the private mapping that it lay in.
        watch: Of forks, for as long as this is there.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ended: deque[tuple[SlotHandle, bool, PrivateMapping | None]] = deque()
        self.watch: Watch | None = None

    def drain(self) -> None:
        """Counts the arrays that have died; every other call does so as well."""
        with self.lock:
            self._drain()

    def release(self, held: SlotHandle) -> None:
        """Counts once less on a slot; the lock is held."""
        if held.ref_counts is not self:
            return  # it was abandoned in the meantime
        assert held.count > 0, "this slot was let go"
        held.count -= 1
        if held.count == 0:
            held.ref_counts = None
            self._freed(held)

    def _drain(self) -> None:
        ended = self.ended
        while ended:
            held, wrote, private = ended.popleft()
            held.writers -= wrote
            if private is not None:
                self._unused(private)
            self.release(held)

    def _unused(self, private: PrivateMapping) -> None:  # noqa: B027 - most have none
        """Nothing sees this mapping any more."""

    @abstractmethod
    def _freed(self, held: SlotHandle) -> None:
        """Nothing in this process counts on the slot any more."""

    # ------------------------------------------------------------------ fork
    def _end_watch(self) -> None:
        """Forks need to look after nothing here any more but the lock."""
        if self.watch is not None:
            self.watch.only(self.lock)

    def before_fork(self) -> None:
        """Has everything in order, and so it stays until one of the next two."""
        self.lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Goes on as if nothing had happened."""
        self.lock.release()

    @abstractmethod
    def after_fork_in_child(self) -> None:
        """Leaves alone what is the parent's."""
