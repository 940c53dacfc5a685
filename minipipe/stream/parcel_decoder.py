"""Parcels that have arrived become items."""

from __future__ import annotations

from typing import Any

from minipipe.codec import NO_LEASES, Access, Borrower, Decoder
from minipipe.stream.arrived import Arrived


class ParcelDecoder:
    """Decodes the parcels of one worker; used by its main thread.

    Args:
        borrower: Makes arrays over the slots of others.
    """

    def __init__(self, borrower: Borrower | None) -> None:
        self._decoder = Decoder(borrower=borrower)

    def decode(self, parcel: Arrived, access: Access) -> list[Any]:
        """The items of a parcel; `access`: what may be done with their arrays in shared memory."""
        whole = parcel.whole
        if whole is not None:
            if whole.items is None:
                whole.items = self.decode(whole, access)
            parcel.unreadable = whole.unreadable
            begin, end = parcel.position, parcel.position + parcel.count
            items, whole.items[begin:end] = whole.items[begin:end], [None] * parcel.count
            return items
        return self._unpacked(parcel, access)

    def _unpacked(self, parcel: Arrived, access: Access) -> list[Any]:
        if isinstance(parcel.body, tuple):
            items = list(parcel.body)
        else:
            self._decoder.access = access
            about = (parcel.leases or NO_LEASES, parcel.classes)
            items = self._decoder.decode(parcel.body, parcel.frames, *about, each=True)
            parcel.unreadable = self._decoder.failed
        if parcel.select:
            return [item for first, stop in parcel.select for item in items[first:stop]]
        return items

    def original(self, parcel: Arrived, number: int) -> Any:
        """An item of a parcel in work as it came, whatever the functor has done to it."""
        whole = parcel if parcel.whole is None else parcel.whole
        numbers = [n for first, stop in whole.runs for n in range(first, stop)]
        return self._unpacked(whole, "private")[numbers.index(number)]
