"""Parcels that come to a host: what lay in slots over there is put into slots here.

So all receivers on this host see the one copy that the link has made.  The gateway holds a slot
until each of them has it mapped, or is gone; from then on the kernel knows who looks at it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from minipipe.shm import SlotHandle, SlotPool, find_slot
from minipipe.stream.freight import NOWHERE, landed, loaded
from minipipe.stream.freight_records import Freight
from minipipe.transport import Buffer


class _Held:
    """The slots of one message, and how many receivers have not mapped them yet."""

    __slots__ = ("left", "number", "slots")

    def __init__(self, number: int, left: int, slots: Sequence[SlotHandle]) -> None:
        self.number = number
        self.left = left
        self.slots = slots

    def is_here(self) -> None:
        """One receiver less."""
        self.left -= 1
        if not self.left:
            for slot in self.slots:
                slot.release()


class Lifting:
    """What a gateway does with what comes to its workers from other hosts.

    Args:
        limit_bytes: what its slots may come to; beyond that, arrays go to each receiver inside its
            message.  None: as for any process.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._pool = SlotPool(limit_bytes)
        self._number = 0
        self._held: dict[int, deque[_Held]] = {}
        self._gone: set[int] = set()

    @property
    def size_bytes(self) -> int:
        """The memory that its slots have."""
        return self._pool.warm_bytes

    @property
    def held_bytes(self) -> int:
        """What is kept for receivers that have not mapped it yet."""
        kept = {id(one): one for waiting in self._held.values() for one in waiting}
        return sum(slot.size_bytes for one in kept.values() for slot in one.slots)

    def allocate(self, size_bytes: int) -> Buffer:
        """Memory for a large frame that comes by a link, for `LinkEnd`.  It never waits."""
        slot = self._pool.take(size_bytes)
        if slot is None:
            return memoryview(bytearray(size_bytes))
        memory = slot.memory
        slot.release()  # from here on the memory counts
        return memory

    def lift(self, message: Sequence[Buffer], receivers: Iterable[int]) -> Sequence[Buffer]:
        """A message from another host as it goes to these workers here.

        Args:
            message: head and frames, those that are large in memory of `allocate`.
            receivers: to all of whom it is sent now, the same.
        """
        found = loaded(message[0])
        if found is None:
            return message
        count = len(found.freight.parts)
        frames, slots, here = list(message), list[SlotHandle](), list[int]()
        for place in range(max(1, len(frames) - count), len(frames)):
            held = _slot_of(frames[place])
            if held is None:
                here += NOWHERE
                continue
            slots.append(held)
            here += held.reference()
            frames[place] = b""
        number = self._hold(slots, receivers) if slots else 0
        frames[0] = found.head_with(Freight(found.freight.parts, here, number))
        return frames

    def _hold(self, slots: Sequence[SlotHandle], receivers: Iterable[int]) -> int:
        waited_for = set(receivers) - self._gone
        self._number += 1
        if waited_for:
            held = _Held(self._number, len(waited_for), slots)
            for slot in slots:
                slot.retain()
            for receiver in waited_for:
                self._held.setdefault(receiver, deque()).append(held)
        return self._number

    def landed(self, head: Buffer) -> None:
        """A worker says what it has mapped, in a message with this head."""
        said = landed(head)
        held = None if said is None else self._held.get(said[0])
        while said is not None and held and held[0].number <= said[1]:
            held.popleft().is_here()

    def forget(self, workers: Iterable[int]) -> None:
        """These are gone: nothing is kept for them."""
        for worker in workers:
            self._gone.add(worker)
            for held in self._held.pop(worker, ()):
                held.is_here()

    def tend(self, now_s: float | None = None) -> None:
        """Gives back memory that nobody wants; to be called about once a second."""
        self._pool.tend(now_s)

    def close(self) -> None:
        """Makes no more slots."""
        self._held.clear()
        self._pool.close()


def _slot_of(frame: Buffer) -> SlotHandle | None:
    """The slot that a frame was received into."""
    place = find_slot(np.frombuffer(frame, np.uint8)) if len(frame) else None
    return None if place is None else place.held
