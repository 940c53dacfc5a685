"""Parcels that have arrived become items."""

from __future__ import annotations

from collections.abc import Container
from itertools import starmap
from typing import Any, Final

from minipipe.codec import (
    NO_LEASES,
    Access,
    Borrower,
    Decoder,
    Encoder,
    Lender,
    LocalEncoder,
    registry,
)
from minipipe.errors import RecordError, WireFormatError
from minipipe.errors.cause import because
from minipipe.stream.arrived import Arrived, Bundle
from minipipe.transport import Inbox

_ADVICE: Final = "between hosts nothing is pickled, unless run(bind=..., allow_pickle=True) says so"


def encoder_for(inbox: Inbox, lender: Lender | None) -> Encoder:
    """What items are encoded with by who has this inbox.

    The form of all streams of a run is decided here: pickled where all inboxes, which are of one
    kind, can only be reached by who may run code; else native, from the first item on.
    """
    if inbox.trust.code:
        return LocalEncoder(lender=lender)
    return Encoder(allow_pickle=False, lender=lender, advice=_ADVICE)


# What comes of what a segment may do, where nothing keeps it from writing.
_APART: Final[dict[Access, Access]] = {"read": "private", "write": "own"}


def apart(access: Access) -> Access:
    """What a functor may do with its arrays: what it is said to, without harm to others.

    torch makes a tensor of a read-only array, with a warning, and then writes to it: to what the
    other Sinks of a broadcast see, and what would be sent again after a death.
    """
    return _APART.get(access, access) if registry.may_write_anyway() else access


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

    def may_import(self, modules: Container[str]) -> None:
        """These modules may be imported to find the classes of items, whoever names them."""
        self._decoder.importable = modules

    def decode(self, parcel: Arrived, access: Access) -> list[Any]:
        """The items of a parcel; `access`: what may be done with their arrays in shared memory."""
        whole, body = parcel.whole, parcel.body
        if whole is None and type(body) is tuple and not (parcel.select or parcel.members):
            if len(body) == parcel.count:
                return list(body)  # numbers, as they are: one of them may be waited for
        elif whole is not None:
            if whole.items is None:
                whole.items = self.decode(whole, access)
            parcel.unreadable = whole.unreadable
            begin, end = parcel.position, parcel.position + parcel.count
            items, whole.items[begin:end] = whole.items[begin:end], [None] * parcel.count
            return items
        return self._unpacked(parcel, access)

    def _unpacked(self, parcel: Arrived, access: Access) -> list[Any]:
        items = self._one_by_one(parcel, access)
        if not parcel.members:
            return items
        bundles: list[Any] = []
        for numbers in parcel.members:
            bundles.append(Bundle(numbers, items[: len(numbers)]))
            del items[: len(numbers)]
        return bundles

    def _one_by_one(self, parcel: Arrived, access: Access) -> list[Any]:
        if isinstance(parcel.body, tuple):
            items = list(parcel.body)
        else:
            items = self._decoded(parcel, parcel.body, access)
        if parcel.select:
            items = [item for first, stop in parcel.select for item in items[first:stop]]
        count = parcel.items_before(parcel.count) if parcel.members else parcel.count
        if len(items) != count:
            raise self._refused(parcel, f"it says {count} items, and has {len(items)}")
        return items

    def _decoded(self, parcel: Arrived, body: bytes, access: Access) -> list[Any]:
        self._decoder.access = access
        leases = parcel.leases or NO_LEASES
        try:
            items = self._decoder.decode(
                body, parcel.frames, leases=leases, named=parcel.classes, each=self._each
            )
        except WireFormatError as error:
            raise because(self._refused(parcel, error.what), error) from error
        parcel.unreadable = self._decoder.failed
        return items

    def _refused(self, parcel: Arrived, what: str) -> RecordError:
        return RecordError(self._socket, parcel.producer, "ITEMS", what, parcel.stream)

    def original(self, parcel: Arrived, number: int) -> Any:
        """An item of a parcel in work as it came, whatever the functor has done to it."""
        whole = parcel if parcel.whole is None else parcel.whole
        numbers = [n for run in whole.members or starmap(range, whole.runs) for n in run]
        return self._one_by_one(whole, "private")[numbers.index(number)]
