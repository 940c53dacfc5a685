"""Large arrays by reference: lent by whoever encodes them, borrowed by whoever decodes them.

What is lent is retained, once for each time, until the other side has it mapped: that is for the
sender of the parcel to know, and to end by `Parcel.release`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minipipe.codec import wire
from minipipe.errors import MiniPipeError, WireFormatError
from minipipe.protocol.wiring import Access
from minipipe.shm import (
    Lease,
    SlotHandle,
    SlotPool,
    SlotReader,
    SlotRef,
    find_slot,
    is_open_to_others,
)
from minipipe.shm.pool import OwnedSlot

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# What the reference says about the one that it is sent to.
OTHERS_SEE, SENDER_SEES, NOBODY_ELSE_SEES = range(3)

_INTS = frozenset({int})

Leases: TypeAlias = Mapping[tuple[int, ...], Lease]
NO_LEASES: Leases = {}


class SlotGoneError(MiniPipeError, LookupError):
    """A slot that a parcel refers to is not there any more: the parcel counts as not received."""

    def __init__(self, ref: SlotRef) -> None:
        super().__init__(ref)
        self.ref = ref

    def __str__(self) -> str:
        return (
            f"an array in the shared memory of process {self.ref.pid} is gone: that process has "
            "ended, or has written something else there, before this one could map it; the item "
            "counts as not received"
        )


class SlotPart(NamedTuple):
    """An array in a slot, which was retained for it."""

    held: SlotHandle
    offset: int
    strides: tuple[int, ...]
    exclusive: int
    """Who else may see the array: one of the three constants above."""


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
        pool: Of this process.

    Attributes:
        min_bytes: Smaller arrays travel inside the message.
        exposed: Slots that were lent and that arrays of this process may still write to.
        on_barred: Called once, when others may not open what this process has: from then on
            arrays travel inside messages.
    """

    def __init__(self, pool: SlotPool) -> None:
        self.min_bytes = pool.min_bytes
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
        if held.writers and not (self.writable_after_send and self.writable_after_send[-1] is held):
            self.writable_after_send.append(held)
        # Somebody here may keep the array, so the consumer may not write to it in place: what
        # is kept would change, and be sent again as something else than it was.
        own = exclusive and isinstance(held, OwnedSlot)
        return SlotPart(held, place.offset, place.strides, SENDER_SEES if own else OTHERS_SEE)

    def lend_alone(self, array: Array, dtype: str, *, exclusive: bool) -> SharedArray | None:
        """Does the same for an item that is nothing but an array."""
        part = self.lend(array, exclusive=exclusive)
        if part is None:
            return None
        shared_array = SharedArray(dtype, array.shape, part, sole=exclusive)
        if self.writable_after_send and self.writable_after_send[-1] is part.held:
            self._movable.append(shared_array)
        return shared_array

    def sealed(self, shared_array: SharedArray) -> None:
        """It stands in a message now, which cannot be changed any more."""
        if self._movable:
            self._movable = [other for other in self._movable if other is not shared_array]

    def forget(self) -> None:
        """What is exposed will not be written to: that is known."""
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
            keeper = held.keeper
            if keeper is not None:
                keeper.drain()
                if held.writers and not self._moved(held):
                    held.isolate()
            writable_after_send.pop()
        self._movable.clear()

    def _moved(self, held: SlotHandle) -> bool:
        """Whether all that was lent of a slot since last settled lies in another one now."""
        parts = [shared_array for shared_array in self._movable if shared_array.held is held]
        # The arrays that are left count, each of them, and so does each loan: there are no others.
        if not parts or held.count != len(parts) + held.writers:
            return False
        slot = self._pool.take(held.size_bytes)
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

    def _copied(self, array: Array, *, exclusive: bool) -> SlotPart | None:
        slot = self._pool.take(array.nbytes)
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


class Borrower:
    """Makes arrays over the slots of others.  It may be used from any thread.

    Args:
        reader: Of this process.
    """

    def __init__(self, reader: SlotReader) -> None:
        self._reader = reader

    def array(
        self,
        dtype: np.dtype[Any],
        shape: list[int],
        words: Any,
        offset: Any,
        strides: Any,
        exclusive: Any,
        access: Access,
        leases: Leases = NO_LEASES,
    ) -> Array:
        """Returns an array that sees what a node refers to, and keeps the slot while it lives.

        Args:
            dtype: As the node has it, without objects.
            shape: As the node has it, and checked; the rest may be anything.
            words: The reference.
            offset: As the node has it.
            strides: As the node has it.
            exclusive: As the node has it.
            leases: Slots that were borrowed for the parcel already.
            access: What the consumer may do.  "read": look.  "write": write as well, if no other
                consumer got it.  "own": that, and else like "private".  "private": write, in any
                case, seen by nobody else.

        Raises:
            WireFormatError: No sender wrote that.
            SlotGoneError: The slot is not what it was when it was sent.
            SlotError: This process cannot map it.
        """
        if (
            type(offset) is not int
            or type(strides) is not list
            or not set(map(type, strides)) <= _INTS
            or type(exclusive) is not int
            or not OTHERS_SEE <= exclusive <= NOBODY_ELSE_SEES
            or dtype.itemsize == 0
            or dtype.subdtype is not None
        ):
            raise WireFormatError("an array in shared memory is not described as one")
        if access == "own":
            access = "write" if exclusive == NOBODY_ELSE_SEES else "private"
        elif access == "write" and exclusive != NOBODY_ELSE_SEES:
            access = "private" if exclusive == SENDER_SEES else "read"
        lease = leases.get(tuple(words)) if type(words) is list else None
        if lease is not None:
            return lease.array(dtype, shape, strides, offset, access)
        ref = SlotRef.read(words)
        lease = self._reader.borrow(ref)
        if lease is None:
            raise SlotGoneError(ref)
        try:
            return lease.array(dtype, shape, strides, offset, access)
        finally:
            lease.release()  # from here on only the array counts


def as_bytes(array: Array) -> Array:
    """Returns the bytes of a contiguous array (C or Fortran), without a copy."""
    flat = array.reshape(-1) if array.flags.c_contiguous else array.T.reshape(-1)
    return flat.view(np.uint8)
