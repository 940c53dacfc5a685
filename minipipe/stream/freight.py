"""Messages with parcels that go to another host, as gateways see them: what they say of slots.

What else is in them is for those that they are for, who say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgpack

from minipipe.stream.freight_records import Freight, Landed
from minipipe.stream.records import Items
from minipipe.stream.registry import OPS
from minipipe.transport import Buffer

NOWHERE: Final = (0, 0, 0, 0, 0)
"""A reference to no slot: no process has the number 0."""


class Loaded(NamedTuple):
    """A message with a parcel that goes to another host, as its gateways see it.

    Attributes:
        freight: what is said of the slots.
        slots: the references to them, as the parcel has them.
    """

    head: tuple[Any, ...]
    freight: Freight
    slots: tuple[int, ...]

    def head_with(self, freight: Freight) -> bytes:
        """The head of the message with something else said of the slots."""
        *before, records = self.head
        *others, _, items = records
        head: bytes = msgpack.packb(
            (*before, (*others, (OPS[Freight], freight), items)), use_bin_type=True
        )
        return head


def loaded(head: Buffer) -> Loaded | None:
    """What the head of a message says of slots; None: there are none, or it is no such head.

    (Whoever it is for says what is wrong with it.)
    """
    try:
        unpacked = msgpack.unpackb(head, use_list=False)
        (op, fields), (last, items) = unpacked[3][-2:]
        if op != OPS[Freight] or last != OPS[Items]:
            return None
        freight, slots = Freight(*fields), Items(*items).slots
        sizes = len(slots) == len(NOWHERE) * len(freight.parts)
        are_ints = set(map(type, slots)) == {int} and all(
            len(part) and not len(part) % 2 and set(map(type, part)) == {int}
            for part in freight.parts
        )
    except (ValueError, TypeError, LookupError, msgpack.UnpackException):
        return None
    return Loaded(unpacked, freight, tuple(slots)) if sizes and are_ints else None


def landed(head: Buffer) -> tuple[int, int] | None:
    """Which worker says in a message with this head that what has landed there."""
    try:
        _, _, sender, records = msgpack.unpackb(head, use_list=False)
        numbers = [fields[0] for op, fields in records if op == OPS[Landed]]
    except (ValueError, TypeError, LookupError, msgpack.UnpackException):
        return None
    are_ints = {int} == set(map(type, (sender, *numbers)))
    return (sender, max(numbers)) if numbers and are_ints else None


def number_in(packed: Sequence[Any]) -> int:
    """What LANDED is to say of a message that is dropped, of whose records nothing is known."""
    for one in packed:
        if type(one) is tuple and len(one) == 2 and one[0] == OPS[Freight]:
            fields = one[1]
            if type(fields) is tuple and len(fields) == 3 and type(fields[2]) is int:
                return fields[2]
    return 0
