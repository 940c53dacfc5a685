"""Large arrays by reference, as who encodes them sees them: lent, in slots.

What is lent is retained, once for each time, until the other side has it mapped: that is for the
sender of the parcel to know, and to end by `Parcel.release`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minipipe.codec import wire
from minipipe.codec.wire import NOBODY_ELSE_SEES, OTHERS_SEE, SENDER_SEES
from minipipe.shm import SlotError, SlotHandle, SlotPool, find_slot, is_open_to_others
from minipipe.shm.handle import Array
from minipipe.shm.pool import OwnedSlot

# A copy of less costs less than a mapping: 16 us against 44 of 200 kB, 240 against 53 of 300 kB.
FRAME_BYTES = 256 * 1024


class SlotPart(NamedTuple):
    """An array in a slot, which was retained for it."""

    held: SlotHandle
    offset: int
    strides: tuple[int, ...]
    exclusive: int
    """Who else may see the array: one of the three constants of `minipipe.codec.wire`."""


class SharedArray:
    """An array alone that was lent, and stands in no message yet.

    Attributes:
        dtype: The name of its dtype.
        held: Where it lies.
        sole: Whether it goes to one consumer, and to no other.
    """

    __slots__ = ("dtype", "exclusive", "held", "offset", "shape", "sole", "strides")

    def __init__(self, dtype: str, shape: tuple[int, ...], part: SlotPart, *, sole: bool) -> None:
        self.dtype = dtype
        self.shape = shape
        self.held, self.offset, self.strides, self.exclusive = part
        self.sole = sole

    def node(self) -> tuple[object, ...]:
        """The node of the array, from now on in a message."""
        held, exclusive = self.held, self.exclusive
        if exclusive == SENDER_SEES and self.sole and held.count == 1 and not held.writers:
            exclusive = NOBODY_ELSE_SEES  # nothing here has kept it, and nobody else was lent it
        ref = held.reference()
        return (
            wire.SLOT_ARRAY,
            *(self.dtype, ref, self.offset, self.strides, exclusive),
            *self.shape,
        )


class Lender:
    """Puts arrays where others can see them.  Used by the thread of its encoder.

    Args:
        pool: Of this process. None: it lends nothing; what lies in slots is sent from there.

    Attributes:
        min_bytes: Smaller arrays travel inside the message.
        writable_after_send: Slots that were sent and that arrays here may still write to.
        on_barred: Called once, when others may not open what this process has: from then on
            arrays travel inside messages.
    """

    def __init__(self, pool: SlotPool | None) -> None:
        self.min_bytes = sys.maxsize if pool is None else pool.min_bytes
        self.writable_after_send: list[SlotHandle] = []
        self.on_barred: Callable[[], None] = lambda: None
        self._barred = False
        self._movable: list[SharedArray] = []  # of these, what stands in no message yet
        self._pool = pool

    def lend(self, array: Array, *, exclusive: bool) -> SlotPart | None:
        """Returns where others find the array, its slot retained; None if the pool has no slot.

        None also if others may not open it.

        It is copied, once, unless it lies in a slot already.

        Args:
            array: Of at least `min_bytes`, without objects.  If it lies in a slot, it must not
                be written to before `settle`.
            exclusive: Whether one consumer will get it, and no other.
        """
        if not is_open_to_others():
            # Looked at each time: the functor may forbid it in the middle of a run.
            if not self._barred:
                self._barred = True
                self.on_barred()
            return None
        place = find_slot(array)
        if place is None:
            return self._copied(array, exclusive=exclusive)
        held = place.held
        held.retain()
        self._sent(held)
        # Somebody here may keep the array, so the consumer may not write to it in place: what
        # is kept would change, and be sent again as something else than it was.
        own = exclusive and isinstance(held, OwnedSlot)
        return SlotPart(held, place.offset, place.strides, SENDER_SEES if own else OTHERS_SEE)

    def frame(self, array: Array) -> memoryview | None:
        """Returns the bytes of an array in a slot, to be sent in a message without a copy.

        None for one that lies in no slot, has gaps, or is small.  As with `lend`, it must not be
        written to before `isolate_sent`, which lets the frame be as it is.
        """
        is_large = array.nbytes >= FRAME_BYTES and array.flags.forc
        place = find_slot(array) if is_large else None
        if place is None:
            return None
        held = place.held
        try:
            frame = held.frame(place.offset, array.nbytes)
        except SlotError:
            return None  # a copy needs no mapping
        self._sent(held)
        return frame

    def _sent(self, held: SlotHandle) -> None:
        """Notes a slot that arrays here can still write to."""
        if held.writers and not (self.writable_after_send and self.writable_after_send[-1] is held):
            self.writable_after_send.append(held)

    def lend_alone(self, array: Array, dtype: str, *, exclusive: bool) -> SharedArray | None:
        """Does the same for an item that is nothing but an array."""
        part = self.lend(array, exclusive=exclusive)
        if part is None:
            return None
        shared_array = SharedArray(dtype, array.shape, part, sole=exclusive)
        if self.writable_after_send and self.writable_after_send[-1] is part.held:
            self._movable.append(shared_array)
        return shared_array

    def encoded(self, shared_array: SharedArray) -> None:
        """It stands in a message now, which cannot be changed any more."""
        if self._movable:
            self._movable = [other for other in self._movable if other is not shared_array]

    def forget(self) -> None:
        """Nothing that was sent will be written to: that is known."""
        self.writable_after_send.clear()
        self._movable.clear()

    def isolate_sent(self) -> None:
        """Makes sure that no array of this process can change what was lent.

        To be called before code of the user's runs again, and after letting go of the items that
        were sent.  Where no array is left then, that costs nothing.  Else what was lent is copied
        to another slot, if it stands in no message yet; or the arrays that are left are cut off
        from what others see (`SlotHandle.isolate`), whose page faults cost two or three times as
        much.

        Raises:
            SlotError: This process may not map more memory.
        """
        writable_after_send = self.writable_after_send
        while writable_after_send:
            held = writable_after_send[-1]
            ref_counts = held.ref_counts
            if ref_counts is not None:
                ref_counts.drain()
                if held.writers and not self._moved(held):
                    held.isolate()
            writable_after_send.pop()
        self._movable.clear()

    def _moved(self, held: SlotHandle) -> bool:
        """Whether all that was lent of a slot since `isolate_sent` lies in another one now."""
        parts = [shared_array for shared_array in self._movable if shared_array.held is held]
        # The arrays that are left count, each of them, and so does each loan: there are no others.
        if not parts or held.count != len(parts) + held.writers:
            return False
        slot = self._take(held.size_bytes)
        if slot is None:
            return False
        begin = held.arena.offset(held.index)
        slot.fill(held.arena.memory[begin : begin + held.size_bytes])
        for number, shared_array in enumerate(parts):
            if number:
                slot.retain()
            shared_array.held = slot
            held.release()
        return True

    def _take(self, size_bytes: int) -> OwnedSlot | None:
        return None if self._pool is None else self._pool.take(size_bytes)

    def _copied(self, array: Array, *, exclusive: bool) -> SlotPart | None:
        slot = self._take(array.nbytes)
        if slot is None:
            return None
        if array.flags.forc:
            # As bytes: between the fields of a record, too.
            slot.fill(as_bytes(array))
            strides = array.strides
        else:
            target = slot.array(array.shape, array.dtype)
            target[...] = array
            strides = target.strides
        return SlotPart(slot, 0, strides, NOBODY_ELSE_SEES if exclusive else OTHERS_SEE)


def as_bytes(array: Array) -> Array:
    """Returns the bytes of a contiguous array (C or Fortran), without a copy."""
    flat = array.reshape(-1) if array.flags.c_contiguous else array.T.reshape(-1)
    return flat.view(np.uint8)
