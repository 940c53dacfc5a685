"""The slots of other processes that a process sees its arrays in."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from minipipe.errors import WireFormatError
from minipipe.shm import forks
from minipipe.shm.allocator import MAX_ARENAS
from minipipe.shm.arena import Arena, open_arena, proc_fd_path
from minipipe.shm.errors import SlotBarredError, SlotError
from minipipe.shm.extent import c_strides, lies_within
from minipipe.shm.handle import Array, RefCounts, SlotHandle
from minipipe.shm.locks import read_lock, unlock
from minipipe.shm.mapping import Mapping
from minipipe.shm.reference import SlotRef

# Dtypes that NumPy makes the very object of again from what it calls them.
_EASY = {id(d): d.str for d in map(np.dtype, "?bBhHiIlLqQefdgFDG") if np.dtype(d.str) is d}


class Lease(SlotHandle):
    """A slot of another process, which is not written anew while anything here counts on it."""

    __slots__ = ()

    def array(
        self,
        dtype: Any,
        shape: Sequence[int],
        strides: Sequence[int] | None = None,
        offset: int = 0,
        access: Literal["read", "private", "write"] = "read",
    ) -> Array:
        """Returns an array that sees the slot, without a copy.

        Args:
            dtype: Its dtype, without objects.
            shape: Its shape.
            strides: Its strides in bytes; those of a C-contiguous array if None.
            offset: Where in the slot its first element is, in bytes.
            access: "read": a read-only array.  "private": a writable one; what is written stays
                here, page by page (also if a library writes that ignores NumPy's flag).  "write":
                a writable one; for the sole holder of the slot, since all see what is written.

        Raises:
            WireFormatError: Such an array does not fit into the slot.
            SlotError: This process may not map more memory.
        """
        dtype = np.dtype(dtype)
        if strides is None:
            strides = c_strides(shape, dtype.itemsize)
        if dtype.hasobject or not lies_within(
            self.size_bytes, offset, shape, strides, dtype.itemsize
        ):
            raise WireFormatError(
                f"no array of {dtype}{tuple(shape)!r:.80} with strides {strides!r:.80} can be at "
                f"byte {offset!r:.40} of a slot of {self.size_bytes} bytes"
            )
        private = None
        if access == "private":
            arena = self.arena
            try:
                # One of its own each time: it keeps pages that were written when the slot changes.
                private = Mapping(
                    arena.fd, arena.slot_bytes, arena.offset(self.index), private=True
                )
            except OSError as exc:
                raise SlotError(arena.pid, str(exc)) from exc
        readonly = access == "read"
        try:
            name = _EASY.get(id(dtype))
            if name is not None:
                return self.seen(
                    name, tuple(shape), tuple(strides), offset, readonly=readonly, apart=private
                )
            every_byte = self.bytes_seen(readonly=readonly, private=private)
            return np.ndarray(shape, dtype, buffer=every_byte, offset=offset, strides=strides)
        except (ValueError, TypeError, OverflowError) as exc:  # too many dimensions, or too long
            raise WireFormatError(f"no array of {dtype}{tuple(shape)!r:.80}: {exc}") from exc


class _Attached:
    """An arena of another process, with what is borrowed from it and how it was come by."""

    __slots__ = ("arena", "leases", "ref", "spare_fd", "torn")

    def __init__(self, arena: Arena, ref: SlotRef) -> None:
        self.arena = arena
        self.ref = ref
        # By slot: isolated ones, and after those the one that the next to borrow it gets as well.
        self.leases: dict[int, list[Lease]] = {}
        self.torn: set[int] = set()  # where the arena's mapping is private and stays so
        self.spare_fd = -1  # for a child, during a fork

    def forget(self) -> None:
        """Lets go of all that is borrowed from it, for good."""
        for leases in self.leases.values():
            for lease in leases:
                lease.ref_counts = None

    def is_there(self) -> bool:
        """Whether the process that it was opened through still has it."""
        try:
            theirs = os.stat(proc_fd_path(self.ref.pid, self.ref.fd))
        except OSError:
            return False
        ours = os.fstat(self.arena.fd)
        return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


class SlotReader(RefCounts):
    """Everything that one process has borrowed.  It may be used from any thread.

    Args:
        max_arenas: How many may stay open that nothing is borrowed from just now.
    """

    def __init__(self, max_arenas: int = MAX_ARENAS) -> None:
        super().__init__()
        self._max_arenas = max_arenas
        # Least recently used first.
        self._arenas: OrderedDict[int, _Attached] = OrderedDict()
        forks.watch(self)

    def borrow(self, ref: SlotRef) -> Lease | None:
        """Returns the slot with a count of one; None if it is no longer what was referred to.

        None means that the owner is gone or has given the slot another content, so that what the
        message referred to was not received.

        Raises:
            SlotBarredError: Its owner lives, and this process is not let in.
            SlotError: This process may have no more descriptors or address space.
        """
        with self.lock:
            self._drain()
            attached = self._arenas.get(ref.arena)
            if attached is None:
                attached = self._attach(ref)
                if attached is None:
                    return None
            self._arenas.move_to_end(ref.arena)
            leases = attached.leases.get(ref.slot)
            if leases:
                # All of them have the one lock and so the one generation.
                if leases[-1].generation != ref.generation:
                    return None
                if not leases[-1].is_isolated:
                    leases[-1].count += 1
                    return leases[-1]
                return self._lease(attached, ref)
            arena = attached.arena
            if ref.slot >= arena.slots or not read_lock(arena.fd, ref.slot):
                return None
            # Only under the lock does the generation say anything.
            if arena.generations[ref.slot] != ref.generation:
                unlock(arena.fd, ref.slot)
                return None
            try:
                return self._lease(attached, ref)
            except SlotError:
                unlock(arena.fd, ref.slot)
                raise

    def tend(self) -> None:
        """Closes arenas that their owners have closed; to be called about once a second."""
        with self.lock:
            self._drain()
            for attached in list(self._arenas.values()):
                if not attached.leases and not attached.is_there():
                    self._detach(attached)

    def close(self) -> None:
        """Lets go of everything; what arrays still see goes with the last one of its arena."""
        with self.lock:
            for attached in list(self._arenas.values()):
                attached.forget()
                if attached.leases:
                    # The leases keep it open, and it closes itself when they are gone.
                    del self._arenas[attached.arena.id]
                else:
                    self._detach(attached)
            self.ended.clear()

    # ------------------------------------------------------------------
    def _freed(self, held: SlotHandle) -> None:
        arena, index = held.arena, held.index
        attached = self._arenas[arena.id]
        leases = attached.leases[index]
        leases[:] = [lease for lease in leases if lease is not held]
        if held.is_isolated and held.own is None and not held.unisolate():
            attached.torn.add(index)
        if not leases:
            del attached.leases[index]
            unlock(arena.fd, index)

    def _lease(self, attached: _Attached, ref: SlotRef) -> Lease:
        arena, index = attached.arena, ref.slot
        leases = attached.leases.get(index, [])
        own = None
        if index in attached.torn or any(lease.own is None for lease in leases):
            # Isolated arrays lie where it would be seen.
            try:
                own = Mapping(arena.fd, arena.slot_bytes, arena.offset(index))
            except OSError as exc:
                raise SlotError(ref.pid, str(exc)) from exc
        lease = Lease(self, arena, index, arena.slot_bytes, own)
        attached.leases[index] = [*leases, lease]
        return lease

    def _attach(self, ref: SlotRef) -> _Attached | None:
        self._make_room(self._max_arenas - 1)
        try:
            try:
                arena = open_arena(ref.pid, ref.fd, ref.arena)
            except PermissionError:
                raise
            except OSError:
                self._make_room(0)
                arena = open_arena(ref.pid, ref.fd, ref.arena)
        except PermissionError as exc:
            raise SlotBarredError(ref.pid, str(exc)) from exc
        except OSError as exc:
            raise SlotError(ref.pid, str(exc)) from exc
        if arena is None:
            return None
        attached = self._arenas[arena.id] = _Attached(arena, ref)
        return attached

    def _make_room(self, most: int) -> None:
        """Closes arenas that nothing is borrowed from until there are at most so many."""
        if len(self._arenas) > most:
            idle = [attached for attached in self._arenas.values() if not attached.leases]
            for attached in idle[: len(self._arenas) - most]:
                self._detach(attached)

    def _detach(self, attached: _Attached) -> None:
        del self._arenas[attached.arena.id]
        attached.arena.close()

    # ------------------------------------------------------------------ fork
    def before_fork(self) -> None:
        """Borrows for the child, through descriptions of its own, what this process has.

        Else parent and child would share each lock, and the first to drop it would drop it for
        both.
        """
        super().before_fork()
        for attached in self._arenas.values():
            if attached.leases:
                try:
                    spare_fd = os.open(proc_fd_path(os.getpid(), attached.arena.fd), os.O_RDWR)
                except OSError:
                    continue  # then the child has the arrays, but no say in how long
                attached.spare_fd = spare_fd
                for index in attached.leases:
                    read_lock(spare_fd, index)

    def after_fork_in_parent(self) -> None:
        for attached in self._arenas.values():
            if attached.spare_fd >= 0:
                os.close(attached.spare_fd)
                attached.spare_fd = -1
        super().after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        """Holds what the parent held, on its own account."""
        for attached in list(self._arenas.values()):
            arena = attached.arena
            if attached.spare_fd >= 0:
                # Under the same number, because references say it.
                os.dup2(attached.spare_fd, arena.fd, inheritable=False)
                os.close(attached.spare_fd)
                attached.spare_fd = -1
                arena.pid = os.getpid()
            else:
                attached.forget()
                self._detach(attached)
        self.lock.release()
