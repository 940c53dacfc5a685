"""The slots of parcels that arrive: mapped and locked here, before anybody confirms them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from minipipe.shm import SlotRef
from minipipe.stream.absent import Absences
from minipipe.stream.arrived import Arrived
from minipipe.stream.freight import number_in
from minipipe.stream.freight_records import Freight
from minipipe.stream.memory import Memory
from minipipe.stream.outbox import Outbox
from minipipe.stream.wire import Message


class Landing:
    """Of one worker."""

    def __init__(self, memory: Memory, outbox: Outbox, absences: Absences) -> None:
        self._memory = memory
        self._outbox = outbox
        self._absences = absences
        self._freight: Freight | None = None  # of the parcel that comes next, in the same message

    def on_freight(self, sender: int, freight: Freight) -> None:
        """The parcel behind this comes from another host."""
        self._freight = freight
        if freight.number:  # (it is sent when the parcel is here, too)
            size_bytes = sum(sum(part[1::2]) - sum(part[::2]) for part in freight.parts)
            self._outbox.landed(freight.number, size_bytes)

    def dropped(self, message: Message) -> None:
        """A message was dropped, with whatever is in it."""
        if self._outbox.has_gateway and (number := number_in(message.packed)):
            self._outbox.landed(number, 0)

    def borrow(self, parcel: Arrived, slots: Sequence[int], region: int) -> bool:
        """Has what a parcel refers to; False if some of it is gone: it counts as not received.

        Then its sender has ended, and somebody sends it again.

        Args:
            slots: references to them, end to end.
            region: of the parcel.

        Raises:
            WireFormatError: no sender wrote that.
            SlotError: this process may not map more.
        """
        freight, self._freight = self._freight, None
        if freight is None:
            parcel.leases = self._memory.borrow(slots)
        else:
            first = len(parcel.frames) - len(freight.parts)
            frames, parcel.frames = parcel.frames[first:], parcel.frames[: max(0, first)]
            place = slots, freight.here, freight.parts, frames
            parcel.leases = self._memory.borrow_moved(*place)
        if parcel.leases is not None:
            return True
        # (The number of a process of another host means another one here, or none.)
        pid = 0 if freight else SlotRef.read(slots[: len(SlotRef._fields)]).pid
        self._absences.missed(time.monotonic(), region, parcel.epoch, parcel.producer, pid)
        return False
