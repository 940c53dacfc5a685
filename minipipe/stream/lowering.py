"""Parcels that leave a host: what they refer to in its slots goes along, as frames.

The gateway borrows the slots, so nobody writes to them while they go, and they outlive their owner;
nothing is copied.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from minipipe.codec.moved import ALIGNED_TO
from minipipe.shm import SlotError, SlotReader, SlotRef
from minipipe.stream.freight import NOWHERE, loaded
from minipipe.transport import Buffer

logger = logging.getLogger("minipipe")

_WORDS = len(NOWHERE)


class Lowering:
    """What a gateway does with what its workers send to other hosts."""

    def __init__(self) -> None:
        self._reader = SlotReader()
        self._said = False

    def lower(self, message: Sequence[Buffer]) -> Sequence[Buffer]:
        """A message of a worker here as it goes to another host.

        The slots are held as long as the frames are there.  One that is gone, as its owner has
        ended, is an empty frame: the parcel counts as not received.

        Args:
            message: head and frames.
        """
        found = loaded(message[0])
        if found is None:
            return message
        frames: list[Buffer] = []
        for place, parts in enumerate(found.freight.parts):
            words = found.slots[_WORDS * place : _WORDS * (place + 1)]
            frames.append(self._frame(SlotRef(*words), parts))
        return [*message, *frames]

    def _frame(self, ref: SlotRef, parts: Sequence[int]) -> Buffer:
        try:
            lease = self._reader.borrow(ref)
        except SlotError as error:
            if not self._said:
                self._said = True
                logger.warning("items that go to another host are held up: %s", error)
            return b""
        if lease is None:
            return b""
        # In the mapping of the arena: isolation is what processes do that write to their arrays.
        memory = lease.bytes_seen(readonly=True).data
        lease.release()  # from here on the frame counts
        if len(parts) == 2:
            return memory[parts[0] : parts[1]]
        gathered = bytearray()
        for begin, end in zip(parts[::2], parts[1::2], strict=True):
            gathered += bytes(-len(gathered) % ALIGNED_TO)
            gathered += memory[begin:end]
        return memoryview(gathered)

    def tend(self) -> None:
        """Closes what owners have closed; to be called about once a second."""
        self._reader.tend()

    def close(self) -> None:
        """Borrows no more."""
        self._reader.close()
