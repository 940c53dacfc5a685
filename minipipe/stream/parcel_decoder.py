"""Parcels that have arrived become items."""

from __future__ import annotations

from typing import Any

from minipipe.codec import NO_LEASES, Access, Borrower, Decoder
from minipipe.errors import RecordError, WireFormatError
from minipipe.stream.arrived import Arrived
from minipipe.transport import Inbox


class ParcelDecoder:
    """Decodes the parcels that come by one inbox; used by the main thread.

    What it accepts depends on that socket alone: whoever can reach it may say that it is anybody.

    Args:
        borrower: Makes arrays over the slots of others.
    """

    def __init__(self, inbox: Inbox, borrower: Borrower) -> None:
        trust = inbox.trust
        self._socket = inbox.bound_address
        self._decoder = Decoder(allow_pickle=trust.code, borrower=borrower if trust.slots else None)
        # A class of the user's may fail to make one item of many.  Where no code of theirs runs,
        # what cannot be read is no such failure, which might be skipped, but no parcel of ours.
        self._each = trust.code

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
            items = self._decoded(parcel, parcel.body, access)
        if parcel.select:
            items = [item for first, stop in parcel.select for item in items[first:stop]]
        if len(items) != parcel.count:
            raise self._refused(parcel, f"it says {parcel.count} items, and has {len(items)}")
        return items

    def _decoded(self, parcel: Arrived, body: bytes, access: Access) -> list[Any]:
        self._decoder.access = access
        leases = parcel.leases or NO_LEASES
        try:
            items = self._decoder.decode(
                body, parcel.frames, leases=leases, named=parcel.classes, each=self._each
            )
        except WireFormatError as error:
            raise self._refused(parcel, error.what) from error
        parcel.unreadable = self._decoder.failed
        return items

    def _refused(self, parcel: Arrived, what: str) -> RecordError:
        return RecordError(self._socket, parcel.producer, "ITEMS", what, parcel.stream)

    def original(self, parcel: Arrived, number: int) -> Any:
        """An item of a parcel in work as it came, whatever the functor has done to it."""
        whole = parcel if parcel.whole is None else parcel.whole
        numbers = [n for first, stop in whole.runs for n in range(first, stop)]
        return self._unpacked(whole, "private")[numbers.index(number)]
