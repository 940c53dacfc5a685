"""Arrays that were lent and stand in no message yet, and what a message says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from minipipe.codec import wire
from minipipe.codec.parcel_slot import Loan
from minipipe.codec.wire import NOBODY_ELSE_SEES, SENDER_SEES
from minipipe.shm import SlotHandle
from minipipe.shm.extent import c_strides


class SlotPart(NamedTuple):
    """An array in a slot, which was retained for it."""

    held: SlotHandle
    offset: int
    strides: tuple[int, ...]
    exclusive: int
    """Who else may see the array: one of the three constants of `minipipe.codec.wire`."""


class Kind(NamedTuple):
    """What arrays have in common that lie in one slot, are alike, and were lent in a row.

    Attributes:
        dtype: The name of their dtype.
        loan: Of the slot, for all that the parcel lends of it; None: it was retained for each.
        sole: Whether they go to one consumer, and to no other.
    """

    held: SlotHandle
    loan: Loan | None
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    exclusive: int
    sole: bool
    size_bytes: int


class SharedArray:
    """An array alone that was lent, and stands in no message yet."""

    __slots__ = ("kind", "offset")

    def __init__(self, kind: Kind, offset: int) -> None:
        self.kind = kind
        self.offset = offset

    @property
    def slot_bytes(self) -> int:
        """Its size, all of which lies in its slot."""
        return self.kind.size_bytes

    def node(self) -> tuple[object, ...]:
        """The node of the array, from now on in a message."""
        held, _, dtype, shape, strides, *_ = self.kind
        ref, seen_by = held.reference(), _seen_by(self.kind)
        return wire.SLOT_ARRAY, dtype, ref, self.offset, strides, seen_by, *shape


def take_over(slots: dict[SlotHandle, None], held: Iterable[SlotHandle]) -> None:
    """Adds slots, each of which was retained for this, to those that a parcel has retained."""
    for one in held:
        if one in slots:
            one.release()
        else:
            slots[one] = None


def runs_of(tokens: Sequence[SharedArray], slots: dict[SlotHandle, None]) -> list[object]:
    """What a message says of arrays alone: those of one kind in a row are one run.

    Args:
        tokens: These stand in a parcel now.
        slots: Gets their slots, each retained once.
    """
    runs: list[object] = []
    kind, offsets = tokens[0].kind, [0] * 0
    for token in tokens:
        if token.kind is not kind:
            runs.append(_run(kind, offsets, slots))
            kind, offsets = token.kind, []
        offsets.append(token.offset)
    runs.append(_run(kind, offsets, slots))
    return runs


def _run(kind: Kind, offsets: list[int], slots: dict[SlotHandle, None]) -> tuple[object, ...]:
    held, loan, dtype, shape, strides, *_ = kind
    straight = strides == c_strides(shape, np.dtype(dtype).itemsize)
    node = dtype, shape, None if straight else strides, held.reference(), _seen_by(kind), offsets
    if loan is None:
        take_over(slots, [held] * len(offsets))
    else:
        if held not in slots:
            held.retain()
            slots[held] = None
        loan.left(len(offsets))
    return node


def _seen_by(kind: Kind) -> int:
    """Who else may see arrays, as they are sent now."""
    if kind.exclusive == SENDER_SEES and kind.sole:
        held = kind.held
        if held.count == 1 and not held.writers:
            return NOBODY_ELSE_SEES  # nothing here has kept it, and nobody else was lent it
    return kind.exclusive
