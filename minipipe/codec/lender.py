"""Large arrays by reference, as who encodes them sees them: lent, in slots.

What is lent is retained, once for each parcel, until the other side has it mapped: that is for the
sender of the parcel to know, and to end by `Parcel.release`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from minipipe.codec import wire
from minipipe.codec.parcel_slot import SIDE_BY_SIDE_BYTES, Filling, Loan, as_bytes
from minipipe.codec.shared_arrays import Kind, SharedArray, SlotPart, runs_of
from minipipe.codec.wire import NOBODY_ELSE_SEES, OTHERS_SEE, SENDER_SEES
from minipipe.shm import Place, SlotError, SlotHandle, SlotPool, find_slot, is_open_to_others
from minipipe.shm.pool import OwnedSlot
from minipipe.shm.view import Array

# A copy of less costs less than a mapping: 16 us against 44 of 200 kB, 240 against 53 of 300 kB.
FRAME_BYTES: Final = 256 * 1024


# Slot, loan (None: it is retained for this one), offset, strides, who else may see it.
_Lent: TypeAlias = tuple[SlotHandle, Loan | None, int, tuple[int, ...], int]


class Lender:
    """Puts arrays where others can see them.  Used by the thread of its encoder.

    Args:
        pool: Of this process. None: it lends nothing; what lies in slots is sent from there.

    Attributes:
        min_bytes: Smaller arrays travel inside the message.
        stream: What parcels are for now: those of each stream have their arrays side by side.
        writable_after_send: Slots that were sent and that arrays here may still write to.
        on_barred: Called once, when others may not open what this process has: from then on
            arrays travel inside messages.
    """

    def __init__(self, pool: SlotPool | None) -> None:
        self.min_bytes = sys.maxsize
        self.stream = 0
        if pool is not None:
            self.min_bytes = min(pool.min_bytes, wire.OUT_OF_BAND_BYTES)
        self.writable_after_send: list[SlotHandle] = []
        self.on_barred: Callable[[], None] = lambda: None
        self._barred = False
        self._movable: list[SharedArray] = []  # of these, what stands in no message yet
        self._pool = pool
        self._fillings: dict[int, Filling] = {}
        self._declined: Array | None = None
        # Of the arrays of each shape that were lent last.
        self._kinds: dict[tuple[int, ...], Kind] = {}

    def lend(self, array: Array, *, exclusive: bool) -> SlotPart | None:
        """Returns where others find the array, its slot retained; None if the pool has no slot.

        None also if others may not open it, or if it is not worth a slot.

        It is copied, once, unless it lies in a slot already.

        Args:
            array: Of at least `min_bytes`, without objects.  If it lies in a slot, it must not
                be written to before `settle`.
            exclusive: Whether one consumer will get it, and no other.
        """
        declined, self._declined = self._declined, None
        lent = None if declined is array else self._lent(array, exclusive)
        if lent is None:
            return None
        held, loan, offset, strides, seen_by = lent
        if loan is not None:
            held.retain()
            loan.left(1)
        return SlotPart(held, offset, strides, seen_by)

    def lend_alone(self, array: Array, dtype: str, *, exclusive: bool) -> SharedArray | None:
        """Does the same for an item that is nothing but an array."""
        lent = self._lent(array, exclusive)
        if lent is None:
            self._declined = array  # it is asked for once more, as a part of an item
            return None
        held, loan, offset, strides, seen_by = lent
        shape = array.shape
        kind = self._kinds.get(shape)
        if (
            kind is None
            or loan is None
            or loan is not kind.loan
            or shape != kind.shape
            or dtype is not kind.dtype
            or strides != kind.strides
            or seen_by != kind.exclusive
        ):
            size_bytes = array.nbytes
            kind = Kind(held, loan, dtype, shape, strides, seen_by, exclusive, size_bytes)
            self._kinds[shape] = kind
        shared_array = SharedArray(kind, offset)
        if self.writable_after_send and self.writable_after_send[-1] is held:
            self._movable.append(shared_array)
        return shared_array

    def end_parcel(self) -> None:
        """The parcel under way of the stream is encoded."""
        self._kinds.clear()  # nor the slots that they name
        filling = self._fillings.get(self.stream)
        if filling is not None:
            filling.end()

    def _lent(self, array: Array, exclusive: bool) -> _Lent | None:
        filling = self._fillings.get(self.stream)
        if filling is None:
            if self._pool is None:
                return None
            filling = self._fillings[self.stream] = Filling(self._pool)
        if filling.is_empty:
            # Looked at for each parcel: the functor may forbid it in the middle of a run.
            filling.is_open = self._is_open()
        if not filling.is_open:
            return None
        if array.base is not None:
            place = find_slot(array)
            if place is not None:
                lent = self._passed_on(place, filling, array.nbytes, exclusive)
                if lent is not None:
                    return lent
        seen_by = NOBODY_ELSE_SEES if exclusive else OTHERS_SEE
        if array.nbytes <= SIDE_BY_SIDE_BYTES:
            put = filling.put(array)
            if put is None:
                return None
            slot, offset, strides = put
            return slot.held, slot, offset, strides, seen_by
        return self._copied(array, seen_by)

    def _is_open(self) -> bool:
        """Whether others may see what this process lends."""
        is_open = is_open_to_others()
        if not is_open and not self._barred:
            self._barred = True
            self.on_barred()
        return is_open

    def _passed_on(
        self, place: Place, filling: Filling, size_bytes: int, exclusive: bool
    ) -> _Lent | None:
        """Lends what lies in a slot already; None: it is to be copied."""
        held, loan = place.held, None
        if isinstance(held, OwnedSlot):
            held.retain()
        else:
            loan = filling.passed(held, size_bytes)
            if loan is None:
                return None
        self._sent(held)
        # Somebody here may keep the array, so the consumer may not write to it in place: what
        # is kept would change, and be sent again as something else than it was.
        own = exclusive and loan is None
        return held, loan, place.offset, place.strides, SENDER_SEES if own else OTHERS_SEE

    def _copied(self, array: Array, seen_by: int) -> _Lent | None:
        """Copies an array to a slot of its own."""
        held = self._take(array.nbytes)
        if held is None:
            return None
        if array.flags.forc:
            # As bytes: between the fields of a record, too.
            held.fill(as_bytes(array))
            return held, None, 0, array.strides, seen_by
        target = held.array(array.shape, array.dtype)
        target[...] = array
        return held, None, 0, target.strides, seen_by

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

    def discard(self, shared_array: SharedArray) -> None:
        """It will be in no message."""
        _, held = self.node(shared_array)
        held.release()

    def node(self, shared_array: SharedArray) -> tuple[object, SlotHandle]:
        """What a message says of an array, which cannot be changed from now on.

        And its slot, retained for that.
        """
        self._encoded((shared_array,))
        held, loan, *_ = shared_array.kind
        if loan is not None:
            held.retain()
            loan.left(1)
        return shared_array.node(), held

    def runs(self, tokens: Sequence[SharedArray], slots: dict[SlotHandle, None]) -> list[object]:
        """The same of arrays alone; their slots are added to `slots`, each retained once."""
        self._encoded(tokens)
        return runs_of(tokens, slots)

    def _encoded(self, tokens: Sequence[SharedArray]) -> None:
        if self._movable:
            gone = set(map(id, tokens))
            self._movable = [other for other in self._movable if id(other) not in gone]

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
        parts = [shared_array for shared_array in self._movable if shared_array.kind.held is held]
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
            shared_array.kind = shared_array.kind._replace(held=slot)
            held.release()
        return True

    def _take(self, size_bytes: int) -> OwnedSlot | None:
        return None if self._pool is None else self._pool.take(size_bytes)
