"""Slots of another host as a parcel has them here: moved to a slot of this host, or in a frame.

The parcel still says where its arrays lay over there, so nobody has to write it anew on its way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from minipipe.errors import WireFormatError
from minipipe.shm import Borrowed
from minipipe.shm.extent import lies_within
from minipipe.shm.view import Array

Parts: TypeAlias = Sequence[int]
"""Begin and end of parts of a slot, in ascending order, end to end."""

ALIGNED_TO: Final = 64  # where a part lies now, its arrays are aligned as they were


class Moved:
    """One such slot.

    Args:
        parts: of it, that have come.
        slot: where they lie now, one behind the other.
        frame: where they do if they lie in no slot.

    Raises:
        WireFormatError: these are no parts of a slot.
    """

    __slots__ = ("_begins", "_frame", "_shifts", "slot")

    def __init__(
        self, parts: Parts, slot: Borrowed | None = None, frame: bytes | memoryview = b""
    ) -> None:
        self.slot = slot
        self._frame = frame
        self._begins = list(parts[::2])
        self._shifts = shifts_of(parts)

    @property
    def size_bytes(self) -> int:
        """Of the slot that is kept for it; a frame is counted with its message."""
        return 0 if self.slot is None else self.slot.size_bytes

    def release(self) -> None:
        """The parcel is worked off."""
        if self.slot is not None:
            self.slot.release()

    def places(self, offsets: Sequence[int]) -> list[int]:
        """Where arrays lie now that began there.

        Raises:
            WireFormatError: what began there did not come.
        """
        begins, shifts = self._begins, self._shifts
        if len(begins) == 1:
            shift = shifts[0]
            return [offset - shift for offset in offsets]
        found = []
        for offset in offsets:
            place = bisect_right(begins, offset) - 1
            if place < 0:
                raise WireFormatError(f"an array lies at byte {offset} of a slot, where none came")
            found.append(offset - shifts[place])
        return found

    def copies(
        self, dtype: np.dtype[Any], shape: Sequence[int], strides: Sequence[int], place: int
    ) -> Array:
        """Returns an array of its own of what lies there in the frame.

        Raises:
            WireFormatError: it does not lie within the frame.
        """
        frame = self._frame
        if dtype.hasobject or not lies_within(len(frame), place, shape, strides, dtype.itemsize):
            raise WireFormatError(
                f"no array of {dtype}{tuple(shape)!r:.80} can be at byte {place} of a frame of "
                f"{len(frame)} bytes"
            )
        try:
            return np.ndarray(shape, dtype, frame, place, strides).copy("K")
        except (ValueError, TypeError, OverflowError) as exc:  # too many dimensions
            raise WireFormatError(f"no array of {dtype}{tuple(shape)!r:.80}: {exc}") from exc


def shifts_of(parts: Parts) -> list[int]:
    """How far down each part lies if they are one behind the other.

    Raises:
        WireFormatError: these are no parts of a slot.
    """
    shifts = list[int]()
    used = end = 0
    if not parts or len(parts) % 2:
        raise _no_parts(parts)
    for begin, stop in zip(parts[::2], parts[1::2], strict=True):
        if not end <= begin < stop:
            raise _no_parts(parts)
        shifts.append(begin - used)
        used += -(-(stop - begin) // ALIGNED_TO) * ALIGNED_TO
        end = stop
    return shifts


def _no_parts(parts: Parts) -> WireFormatError:
    return WireFormatError(f"{parts!r:.80} are no parts of a slot")
