"""The slot of the parcel under way: its arrays side by side.

A slot for each array costs 40 us, most of it for locks, mappings and page faults.  So those of one
parcel share a slot, which is closed when the parcel is sent: one reference, one lock and one lease.
How large it is to be, the parcels before say.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from minipipe.shm import SlotHandle, SlotPool
from minipipe.shm.copying import copy
from minipipe.shm.pool import OwnedSlot
from minipipe.shm.view import Array

# Larger arrays have a slot of their own.
SIDE_BY_SIDE_BYTES: Final = 256 * 1024
MOST_BYTES: Final = 4 * 1024 * 1024
_SLOTS_AT_ONCE: Final = 4  # that arrays of several inputs may come from in turn
_FEW: Final = 4  # who passes on less than a fourth of a slot, copies it
_ALIGNED_TO: Final = 64  # as NumPy's own memory is, and as vector instructions like it


class Loan:
    """A slot of which arrays are lent by the parcel under way, retained for all of them together.

    Args:
        held: One count of it is taken over.

    Attributes:
        passed_bytes: Of the arrays, if they lay in it before.
    """

    __slots__ = ("_is_closed", "_waiting", "held", "passed_bytes")

    def __init__(self, held: SlotHandle) -> None:
        self.held = held
        self.passed_bytes = 0
        self._waiting = 0  # arrays that stand in no parcel yet
        self._is_closed = False

    def joined(self) -> None:
        """One more array of it is lent."""
        self._waiting += 1

    def left(self, arrays: int) -> None:
        """So many arrays stand in a parcel now, which counts itself, or will be in none."""
        self._waiting -= arrays
        self._end()

    def close(self) -> None:
        """Lends no more arrays."""
        self._is_closed = True
        self._end()

    def _end(self) -> None:
        if self._is_closed and not self._waiting:
            self.held.release()


class ParcelSlot(Loan):
    """A slot of this process that arrays are copied to, one behind the other."""

    __slots__ = ("_memory", "_room", "_used_bytes")

    def __init__(self, held: OwnedSlot) -> None:
        super().__init__(held)
        begin = held.arena.offset(held.index)
        self._used_bytes = 0
        self._memory = held.arena.memory[begin : begin + held.size_bytes]
        self._room = held.size_bytes

    def put(self, array: Array) -> tuple[int, tuple[int, ...]] | None:
        """Returns where a copy of an array lies, in bytes, and its strides; None: no room."""
        begin = self._used_bytes
        end = begin + array.nbytes
        if end > self._room or self.held.is_isolated:
            return None
        target = self._memory[begin:end]
        strides = array.strides
        if array.flags.forc:
            copy(target, as_bytes(array))  # as bytes: between the fields of a record, too
        else:
            laid_out = target.view(array.dtype).reshape(array.shape)
            laid_out[...] = array
            strides = laid_out.strides
        self._used_bytes = -(-end // _ALIGNED_TO) * _ALIGNED_TO
        return begin, strides


class Picks:
    """Whether of the slots of others little is passed on.

    What will come of a slot is not known while its first arrays are passed on, so the slots before
    say it.  (In however many parcels: a quick worker sends what it has every 2 ms.)
    """

    def __init__(self) -> None:
        self.are_few = False
        # Of the last slots: so many bytes, of all.
        self._passed: dict[tuple[int, int, int], tuple[int, int]] = {}

    def passed(self, held: SlotHandle, size_bytes: int) -> None:
        """A parcel has passed on so much of a slot."""
        # Not the handle itself, which would be kept.  (Should another one be meant, it is a guess.)
        slot = id(held), held.index, held.generation
        before, whole_bytes = self._passed.get(slot, (0, held.size_bytes))
        if not before and len(self._passed) == _SLOTS_AT_ONCE:
            some_bytes, all_bytes = self._passed.pop(next(iter(self._passed)))
            self.are_few = _FEW * some_bytes < all_bytes
        self._passed[slot] = before + size_bytes, whole_bytes


class Filling:
    """The parcel under way of one stream: the slot for its arrays, and those that it passes on."""

    def __init__(self, pool: SlotPool) -> None:
        self.is_open = True  # others may open what this process has, as far as it was looked at
        self._pool = pool
        self._worth_bytes = pool.min_bytes  # parcels whose arrays come to less carry them inside
        self._slot: ParcelSlot | None = None
        self._bytes = 0  # of the arrays of this parcel
        self._before = (0, 0)  # the same of the two before
        self._loans: dict[SlotHandle, Loan] = {}  # of slots of others
        self._picks = Picks()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was lent for this parcel yet."""
        return not self._bytes and not self._loans

    def put(self, array: Array) -> tuple[ParcelSlot, int, tuple[int, ...]] | None:
        """Copies an array; returns its slot, which it has `joined`, its offset and its strides.

        None if it is to travel inside its message.
        """
        size_bytes, so_far = array.nbytes, self._bytes
        self._bytes += size_bytes
        slot = self._slot
        if slot is None:
            expected, worth = sum(self._before) // 2, self._worth_bytes
            if size_bytes < worth and so_far < worth and expected < worth:
                return None
            slot = self._open(max(size_bytes, worth, min(so_far or expected, MOST_BYTES)))
            if slot is None:
                return None
        put = slot.put(array)
        if put is None:
            slot = self._open(max(size_bytes, self._worth_bytes, min(so_far, MOST_BYTES)))
            put = None if slot is None else slot.put(array)
            if slot is None or put is None:
                return None
        slot.joined()
        return slot, *put

    def passed(self, held: SlotHandle, size_bytes: int) -> Loan | None:
        """Returns the loan of a slot of another process that an array lies in; None: copy it.

        Consumers hold a slot as a whole, however little of it they get, so little is copied.
        """
        loan = self._loans.get(held)
        if loan is None:
            held.retain()
            if held.is_isolated:  # another thread has copied it aside, just now
                held.release()
                return None
            loan = self._loans[held] = Loan(held)
        loan.passed_bytes += size_bytes
        # Of a very large one, no parcel has a fourth.
        is_little = self._picks.are_few or held.size_bytes > _FEW * MOST_BYTES
        if is_little and size_bytes <= SIDE_BY_SIDE_BYTES:
            return None
        loan.joined()
        return loan

    def end(self) -> None:
        """The parcel is encoded: the next array opens another slot."""
        self._before = self._before[1], self._bytes
        self._bytes = 0
        self._close()
        if self._loans:
            for held, loan in self._loans.items():
                self._picks.passed(held, loan.passed_bytes)
                loan.close()
            self._loans.clear()

    def _open(self, size_bytes: int) -> ParcelSlot | None:
        self._close()
        # Sizes of a few kinds only: slots of each size are used again, and are then warm.
        whole = 1 << (size_bytes - 1).bit_length()
        held = self._pool.take(whole if 4 * size_bytes > 3 * whole else 3 * whole // 4)
        self._slot = None if held is None else ParcelSlot(held)
        return self._slot

    def _close(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.close()


def as_bytes(array: Array) -> Array:
    """Returns the bytes of a contiguous array (C or Fortran), without a copy."""
    flat = array.reshape(-1) if array.flags.c_contiguous else array.T.reshape(-1)
    return flat.view(np.uint8)
