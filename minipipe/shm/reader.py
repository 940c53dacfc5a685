"""The slots of other processes that a process sees its arrays in."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Final, cast

from minipipe.errors.cause import because
from minipipe.shm import forks
from minipipe.shm.allocator import MAX_ARENAS
from minipipe.shm.arena import open_arena, proc_fd_path
from minipipe.shm.attached import Attached
from minipipe.shm.errors import SlotBarredError, SlotError
from minipipe.shm.handle import SlotHandle
from minipipe.shm.kept import KeptLeases, most_aside
from minipipe.shm.lease import Kept, Lease, LeaseCounts
from minipipe.shm.locks import read_lock, unlock
from minipipe.shm.mapping import Mapping
from minipipe.shm.private import PrivateMapping, Room, Shielding, SpareMappings, WrittenPages
from minipipe.shm.reference import SlotRef


class SlotReader(LeaseCounts):
    """Everything that one process has borrowed.  It may be used from any thread.

    Args:
        max_arenas: How many may stay open that nothing is borrowed from just now.

    Attributes:
        shielding: Says how arrays are lent to who may write to them.
    """

    def __init__(self, max_arenas: int = MAX_ARENAS) -> None:
        super().__init__()
        self._max_arenas = max_arenas
        # Least recently used first.
        self._arenas: OrderedDict[int, Attached] = OrderedDict()
        self._kept = KeptLeases()
        self._aside = 0  # how many slots are copied aside
        self._most_aside = most_aside()
        self._pages = WrittenPages()
        self._room = Room()
        self.shielding: Final = Shielding()
        self.watch = forks.watch(self)

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

    @property
    def is_crowded(self) -> bool:
        """Whether so much is kept here, in bits, that what is borrowed is better copied at once."""
        return self._aside >= self._most_aside

    def settle(self, lease: Lease) -> None:
        """Counts once less on a lease of a parcel that was worked off.

        What somebody keeps of it may lie in memory of this process from then on, at the same
        addresses: see `KeptLeases`.
        """
        with self.lock:
            self._drain()
            self.release(lease)
            if lease.ref_counts is self and not lease.is_isolated and self._kept.add(lease):
                self._copy_aside()

    def tend(self) -> None:
        """Closes arenas that their owners have closed; to be called about once a second."""
        with self.lock:
            self._drain()
            self._copy_aside()
            for attached in list(self._arenas.values()):
                if attached.is_idle and not attached.is_there():
                    self._detach(attached)

    def close(self) -> None:
        """Lets go of everything; what arrays still see goes with the last one of its arena."""
        with self.lock:
            for attached in list(self._arenas.values()):
                attached.forget()
                if not attached.is_idle:
                    # The leases keep it open, and it closes itself when they are gone.
                    del self._arenas[attached.arena.id]
                    attached.spares.clear()
                else:
                    self._detach(attached)
            self.ended.clear()
            self._kept = KeptLeases()
            self._pages.close()
        self._end_watch()

    def private_mapping(self, lease: Lease) -> Mapping:
        with self.lock:
            self._drain()
            attached = self._arenas.get(lease.arena.id)
            if attached is not None and attached.arena is lease.arena:
                return attached.spares.take(lease)
        arena = lease.arena  # it was let go in the meantime
        return Mapping(arena.fd, arena.slot_bytes, arena.offset(lease.index), private=True)

    # ------------------------------------------------------------------
    def _unused(self, private: PrivateMapping) -> None:
        held = private.held
        attached = None if held is None else self._arenas.get(held.arena.id)
        if attached is not None and held is not None and attached.arena is held.arena:
            attached.spares.put_back(private)

    def _freed(self, held: SlotHandle) -> None:
        lease = cast("Lease", held)
        self._kept.discard(lease)
        self._aside -= lease.is_aside
        if lease.is_aside and lease.own is not None:
            return
        arena, index = lease.arena, lease.index
        attached = self._arenas[arena.id]
        if lease.is_isolated and lease.own is None and not lease.unisolate():
            attached.torn.add(index)
        if lease.is_aside:
            del attached.aside[index]
        else:
            self._end(attached, lease)

    def _end(self, attached: Attached, lease: Lease) -> None:
        """Counts on the slot no more, as far as this lease of it is concerned."""
        index = lease.index
        leases = attached.leases[index]
        leases[:] = [other for other in leases if other is not lease]
        if not leases:
            del attached.leases[index]
            unlock(attached.arena.fd, index)

    def _copy_aside(self) -> None:
        """Lets slots go of which arrays keep little; those arrays go on, with a copy of that."""
        for lease, kept in self._kept.mostly_dead():
            if self.is_crowded:
                return
            arena, index = lease.arena, lease.index
            try:
                if not all(_cut_off(lease, part) for part in kept):
                    continue
            except OSError:
                continue  # too many mappings: it stays as it is
            self._kept.discard(lease)
            attached = self._arenas[arena.id]
            # For `find_slot`, too: they lie in no slot any more.
            lease.is_isolated = lease.is_aside = True
            lease.slices = []  # they say nothing of it any more, and are larger than what is kept
            self._aside += 1
            if lease.own is None:
                attached.aside[index] = lease
            self._end(attached, lease)

    def _lease(self, attached: Attached, ref: SlotRef) -> Lease:
        arena, index = attached.arena, ref.slot
        leases = attached.leases.get(index, [])
        own = None
        taken = index in attached.torn or index in attached.aside
        if taken or any(lease.own is None for lease in leases):
            # Isolated arrays lie where it would be seen.
            try:
                own = Mapping(arena.fd, arena.slot_bytes, arena.offset(index))
            except OSError as exc:
                raise because(SlotError(ref.pid, str(exc)), exc) from exc
        lease = Lease(self, arena, index, arena.slot_bytes, own)
        attached.leases[index] = [*leases, lease]
        return lease

    def _attach(self, ref: SlotRef) -> Attached | None:
        self._make_room(self._max_arenas - 1)
        try:
            try:
                arena = open_arena(ref.pid, ref.fd, ref.arena)
            except PermissionError:
                raise
            except OSError:
                self._make_room(0)
                arena = open_arena(ref.pid, ref.fd, ref.arena)
        except PermissionError as barred:
            raise because(SlotBarredError(ref.pid, str(barred)), barred) from barred
        except OSError as exc:
            raise because(SlotError(ref.pid, str(exc)), exc) from exc
        if arena is None:
            return None
        attached = self._arenas[arena.id] = Attached(
            arena, ref, SpareMappings(self._pages, self._room, self.shielding)
        )
        return attached

    def _make_room(self, most: int) -> None:
        """Closes arenas that nothing is borrowed from until there are at most so many."""
        if len(self._arenas) > most:
            idle = [attached for attached in self._arenas.values() if attached.is_idle]
            for attached in idle[: len(self._arenas) - most]:
                self._detach(attached)

    def _detach(self, attached: Attached) -> None:
        del self._arenas[attached.arena.id]
        attached.spares.clear()
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
                self._kept.discard(*attached.forget())
                self._detach(attached)
        self.lock.release()


def _cut_off(lease: Lease, kept: Kept) -> bool:
    """Makes what is kept of a slot memory of this process; False if there is none.

    Raises:
        OSError: The process may not map so much, or not in so many pieces.
    """
    arena, apart = lease.arena, kept.apart
    if apart is not None:
        # Somebody may be writing there: the kernel copies what was not written to, in its place.
        return all(apart.populate(begin, end - begin) for begin, end in kept.pages)
    if lease.own is None:
        arena.mapping.replace(arena.offset(lease.index), arena.slot_bytes, kept.pages)
    else:
        lease.own.replace(0, arena.slot_bytes, kept.pages)
    return True
