"""Large arrays by reference, as who decodes them sees them: borrowed, over the slots of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from minipipe.codec.wire import NOBODY_ELSE_SEES, OTHERS_SEE, SENDER_SEES
from minipipe.errors import MiniPipeError, WireFormatError
from minipipe.protocol.wiring import Access
from minipipe.shm import Lease, SlotReader, SlotRef
from minipipe.shm.handle import Array

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
