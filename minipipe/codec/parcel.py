"""What an encoder makes: items that are encoded, one by one and many together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from minipipe.shm import SlotHandle

_NO_CLASSES: Mapping[bytes, bytes] = MappingProxyType({})


class Parcel(NamedTuple):
    """Many items, ready to be sent."""

    body: bytes
    """msgpack; all that is small."""
    frames: list[bytes | memoryview]
    """Large buffers, in order. Nobody changes them, so they can be sent without a copy."""
    classes: Mapping[bytes, bytes] = _NO_CLASSES
    """Tokens and definitions that the other side must have, each after those that it needs."""
    held: tuple[SlotHandle, ...] = ()
    """Slots that the body refers to, each once, and retained once."""

    @property
    def size_bytes(self) -> int:
        """What it takes up; slots as a whole, since they cannot be used again meanwhile."""
        inside = len(self.body) + sum(map(len, self.frames))
        return inside + sum(held.size_bytes for held in self.held)

    def release(self) -> None:
        """Lets go of the slots: every consumer has them mapped, or nobody will get the parcel.

        To be called once, from any thread; what was not mapped by then is gone.
        """
        for held in self.held:
            held.release()


class Piece:
    """An item that is encoded already.

    Attributes:
        slot_bytes: What of it lies in slots.
    """

    __slots__ = ("classes", "data", "frames", "held", "slot_bytes")

    def __init__(
        self,
        data: bytes,
        frames: list[bytes | memoryview],
        classes: Mapping[bytes, bytes],
        held: tuple[SlotHandle, ...],
        slot_bytes: int,
    ) -> None:
        self.data = data
        self.frames = frames
        self.classes = classes
        self.held = held
        self.slot_bytes = slot_bytes
