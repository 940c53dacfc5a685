"""A borrowed slot as one parcel has it: read-only arrays that are slices of one view.

A view for each array would cost three times as much, and a lock each.  Each slice is an array over
a memoryview, which NumPy does not look behind: what a user makes of it (`image[0]`, `image.T`)
refers to the slice itself, and not to the whole view.  So a slice that is alive says that
somebody may look at its bytes, and one that is dead that nobody does.
(But for who goes by `base` of `base` to the memoryview itself, and makes arrays of that.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from minipipe.errors import WireFormatError
from minipipe.errors.cause import because
from minipipe.shm.extent import lies_within
from minipipe.shm.lease import Lease, does_not_fit
from minipipe.shm.mapping import can_cut_off
from minipipe.shm.view import Array, Places

if TYPE_CHECKING:
    from minipipe.shm.reader import SlotReader


class Borrowed:
    """A lease that counts for a parcel, until `release`.

    Args:
        reader: Whose lease it is.
        lease: Its count for the parcel is taken over.
    """

    __slots__ = (
        "_memory",
        "_places",
        "_reader",
        "_shield",
        "_shielded",
        "_shielded_to",
        "_shields",
        "lease",
    )

    def __init__(self, reader: SlotReader, lease: Lease) -> None:
        self.lease = lease
        self._reader = reader
        self._memory: memoryview | None = None
        self._shield: memoryview | None = None
        self._shields: bool | None = None  # nobody has asked for it yet
        self._shielded: Places = {}
        self._shielded_to = 0
        self._places: Places = {}

    @property
    def size_bytes(self) -> int:
        """That of the slot, which is kept as a whole."""
        return self.lease.size_bytes

    def slices(self, dtype: np.dtype[Any], length: int, offsets: Sequence[int]) -> list[Array]:
        """Returns a read-only array of `length` elements for each offset in bytes.

        Raises:
            WireFormatError: One does not lie within the slot.
        """
        memory = self._memory or self._view()
        if length < 0:  # for NumPy, all that there is
            raise WireFormatError(f"an array of {length} elements")
        try:
            made: list[Array] = [np.frombuffer(memory, dtype, length, at) for at in offsets]
        except (ValueError, TypeError, OverflowError) as exc:
            error = WireFormatError(f"no {length} times {dtype} in a slot: {exc}")
            raise because(error, exc) from exc
        if self._reader.is_crowded:  # then they keep nothing of the slot
            made = [array.copy() for array in made]
            for array in made:
                array.flags.writeable = False
            return made
        self._places.update(
            zip(map(id, made), zip(map(ref, made), offsets, strict=True), strict=True)
        )
        return made

    def shielded(self, dtype: np.dtype[Any], length: int, offsets: Sequence[int]) -> list[Array]:
        """Does the same with arrays that may be written to: nobody else sees what is.

        All of them lie in one private mapping, but for copies of what does not lie behind all that
        was made before: so each part of the slot is seen there once, and what is made of it again
        is as it came, whatever was written meanwhile.  Where it does not pay, all are copies.

        Raises:
            WireFormatError: One does not lie within the slot.
            SlotError: This process may not map more memory.
        """
        if length < 0:
            raise WireFormatError(f"an array of {length} elements")
        size_bytes = length * dtype.itemsize
        if self._shields is None:
            self._shields = can_cut_off() and self._reader.shielding.pays()
        is_copied = self._reader.is_crowded or not self._shields
        made: list[Array] = []
        try:
            for at in offsets:
                if is_copied or at < self._shielded_to:
                    memory = self._memory or self._view()
                    made.append(np.frombuffer(memory, dtype, length, at).copy())
                    continue
                memory = self._shield or self._private_view()
                array: Array = np.frombuffer(memory, dtype, length, at)
                self._shielded[id(array)] = ref(array), at
                self._shielded_to = at + size_bytes
                made.append(array)
        except (ValueError, TypeError, OverflowError) as exc:
            error = WireFormatError(f"no {length} times {dtype} in a slot: {exc}")
            raise because(error, exc) from exc
        return made

    def slice(
        self, dtype: np.dtype[Any], shape: Sequence[int], strides: Sequence[int], offset: int
    ) -> Array:
        """Returns a read-only array with any strides, over a slice of the bytes that it covers.

        Raises:
            WireFormatError: It does not lie within the slot.
        """
        item_bytes, size_bytes = dtype.itemsize, self.size_bytes
        if dtype.hasobject or not lies_within(size_bytes, offset, shape, strides, item_bytes):
            raise does_not_fit(size_bytes, dtype, shape, strides, offset)
        steps = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True) if n]
        begin = offset + sum(step for step in steps if step < 0)
        end = offset + item_bytes + sum(step for step in steps if step > 0)
        (every_byte,) = self.slices(np.dtype(np.uint8), end - begin, (begin,))
        try:
            return np.ndarray(shape, dtype, every_byte, offset - begin, strides)
        except (ValueError, TypeError, OverflowError) as exc:  # too many dimensions
            error = WireFormatError(f"no array of {dtype}{tuple(shape)!r:.80}: {exc}")
            raise because(error, exc) from exc

    def release(self) -> None:
        """The parcel is worked off: from now on only the arrays count that somebody keeps."""
        self._memory = self._shield = self._shields = None
        self._shielded_to = 0
        self._reader.settle(self.lease)

    def _view(self) -> memoryview:
        whole = self.lease.bytes_seen(readonly=True, places=self._places)
        self._memory = self._noted(whole, self._places)
        return self._memory

    def _private_view(self) -> memoryview:
        self._shielded = {}
        mapping = self.lease.private_mapping()
        whole = self.lease.bytes_seen(readonly=False, private=mapping, places=self._shielded)
        self._shield = self._noted(whole, self._shielded)
        return self._shield

    def _noted(self, whole: Array, places: Places) -> memoryview:
        lease = self.lease
        lease.slices = [known for known in lease.slices if known[0]() is not None]
        lease.slices.append((ref(whole), places))
        return whole.data
