"""Large arrays by reference, as who decodes them sees them: borrowed, over the slots of others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from minipipe.codec.moved import Moved
from minipipe.codec.parcel_slot import SIDE_BY_SIDE_BYTES
from minipipe.codec.wire import NOBODY_ELSE_SEES, OTHERS_SEE, SENDER_SEES
from minipipe.errors import MiniPipeError, WireFormatError
from minipipe.protocol.wiring import Access
from minipipe.shm import Borrowed, SlotReader, SlotRef
from minipipe.shm.extent import c_strides
from minipipe.shm.view import Array

_INTS: Final = frozenset({int})

_Seen: TypeAlias = Literal["read", "write", "private"]

# Smaller arrays are copied rather than shielded: 2 us, and who keeps one keeps no slot.
_SHIELDED_BYTES: Final = 32 * 1024

Leases: TypeAlias = Mapping[tuple[int, ...], Borrowed | Moved]
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
            leases: Slots that were borrowed for the parcel already: all that it refers to, if any.
            access: What the consumer may do.  "read": look.  "write": write as well, if no other
                consumer got it.  "own": that, and else like "private".  "private": write, in any
                case, seen by nobody else.

        Raises:
            WireFormatError: No sender wrote that.
            SlotGoneError: The slot is not what it was when it was sent.
            SlotError: This process cannot map it.
        """
        place = words, exclusive, [offset], access, leases
        return self.arrays(dtype, shape, strides, *place)[0]

    def arrays(
        self,
        dtype: np.dtype[Any],
        shape: list[int],
        strides: Any,
        words: Any,
        exclusive: Any,
        offsets: Any,
        access: Access,
        leases: Leases = NO_LEASES,
    ) -> list[Array]:
        """Returns the arrays of a run, one for each offset; else as `array`.

        Raises:
            WireFormatError: No sender wrote that.
            SlotGoneError: The slot is not what it was when it was sent.
            SlotError: This process cannot map it.
        """
        _check(dtype, offsets, strides, exclusive)
        comes_to = _comes_to(access, exclusive)
        found = leases.get(tuple(words)) if type(words) is list else None
        if isinstance(found, Moved):
            moved, offsets = found, found.places(offsets)
            if moved.slot is None:
                steps = c_strides(shape, dtype.itemsize) if strides is None else strides
                return [moved.copies(dtype, shape, steps, place) for place in offsets]
            found = moved.slot
        if found is not None:
            return _arrays(found, dtype, shape, strides, offsets, comes_to)
        if leases:
            raise WireFormatError(f"{words!r:.80} is none of the slots that came with it")
        borrowed = self._borrow(words)
        try:
            return _arrays(borrowed, dtype, shape, strides, offsets, comes_to)
        finally:
            borrowed.release()  # from here on only the arrays count

    def _borrow(self, words: Any) -> Borrowed:
        ref = SlotRef.read(words)
        lease = self._reader.borrow(ref)
        if lease is None:
            raise SlotGoneError(ref)
        return Borrowed(self._reader, lease)


def _check(dtype: np.dtype[Any], offsets: Any, strides: Any, exclusive: Any) -> None:
    if (
        type(offsets) is not list
        or not set(map(type, offsets)) <= _INTS
        or not (strides is None or type(strides) is list)
        or not set(map(type, strides or ())) <= _INTS
        or type(exclusive) is not int
        or not OTHERS_SEE <= exclusive <= NOBODY_ELSE_SEES
        or dtype.itemsize == 0
        or dtype.subdtype is not None
    ):
        raise WireFormatError("an array in shared memory is not described as one")


def _comes_to(access: Access, exclusive: int) -> _Seen:
    if access == "own":
        return "write" if exclusive == NOBODY_ELSE_SEES else "private"
    if access == "write" and exclusive != NOBODY_ELSE_SEES:
        return "private" if exclusive == SENDER_SEES else "read"
    return access


def _is_copied(borrowed: Borrowed, size_bytes: int) -> bool:
    """Whether an array that may be written to is a copy, as others lie beside it in the slot.

    Who keeps it keeps no slot then, and what is written reaches nobody.  (What is only looked at,
    or shielded, can be copied later, when most of the slot is dead: `minipipe.shm.kept`.)
    """
    return size_bytes <= SIDE_BY_SIDE_BYTES and 2 * size_bytes < borrowed.size_bytes


def _arrays(
    borrowed: Borrowed,
    dtype: np.dtype[Any],
    shape: list[int],
    strides: list[int] | None,
    offsets: list[int],
    access: _Seen,
) -> list[Array]:
    length = math.prod(shape)
    size_bytes = length * dtype.itemsize
    is_copy = access != "read" and _is_copied(borrowed, size_bytes)
    if (
        is_copy
        and access == "private"
        and size_bytes >= _SHIELDED_BYTES
        and (strides is None or tuple(strides) == c_strides(shape, dtype.itemsize))
    ):
        return [array.reshape(shape) for array in borrowed.shielded(dtype, length, offsets)]
    if strides is None and length and (is_copy or access == "read"):
        # Also of one dimension: so the base of what users get is an array of the same bytes.
        slices = [array.reshape(shape) for array in borrowed.slices(dtype, length, offsets)]
        return [array.copy() for array in slices] if is_copy else slices
    steps = c_strides(shape, dtype.itemsize) if strides is None else strides
    if is_copy or access == "read":
        found = [borrowed.slice(dtype, shape, steps, offset) for offset in offsets]
        return [array.copy("K") for array in found] if is_copy else found
    return [borrowed.lease.array(dtype, shape, steps, offset, access) for offset in offsets]
