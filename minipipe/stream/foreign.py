"""Messages of another host for workers here: whether they may go on to them.

An agent was invited, and may still be broken, or taken over.  It speaks for its own workers, and
for nobody else; nobody there gives orders; and what it says of slots is of its own machine.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.stream import records, reports, wire
from minipipe.stream.freight import loaded
from minipipe.stream.registry import name_of
from minipipe.transport import Buffer, Trust

ORDERS: Final[frozenset[type[NamedTuple]]] = frozenset(
    {
        records.Abandon,
        records.Count,
        records.Drain,
        records.Exit,
        records.Fence,
        records.Gone,
        records.Init,
        records.Join,
        records.Kept,
        records.Leave,
        records.Retire,
        records.Retiring,
        records.Start,
        records.Stop,
    }
)
"""What only the supervisor says, over another way than this."""
REPORTS: Final[frozenset[type[NamedTuple]]] = frozenset(
    {
        records.Letter,
        records.PassDone,
        records.Spans,
        records.Suspect,
        *(one for one in records.OPS if one.__module__ == reports.__name__),
    }
)
"""What only the supervisor hears."""


class ByLink(NamedTuple):
    """What messages of another host come by.

    Attributes:
        bound_address: the link, in words.
        trust: what is accepted there beside plain data.
    """

    bound_address: str
    trust: Trust

    def receive(self) -> list[Buffer] | None:
        """Nothing more: who serves the link has what has come."""
        return None


def check_foreign(
    message: Sequence[Buffer],
    receivers: Collection[int],
    senders: Collection[int],
    came_by: ByLink,
) -> None:
    """Raises unless workers here may get this from another host.

    Args:
        message: head and frames.
        receivers: whom it is for.
        senders: the workers that the other host has, or had.
        came_by: the link.

    Raises:
        WireFormatError: they may not; says why.
    """
    check_read(wire.read(message, came_by), message[0], receivers, senders)


def check_read(
    read: wire.Message, head: Buffer, receivers: Collection[int], senders: Collection[int]
) -> None:
    """The same of a message that was read, from this head."""
    if read.sender not in senders:
        raise WireFormatError(f"it speaks for worker {read.sender:d}, which is none of its own")
    found = read.records()
    for_supervisor = SUPERVISOR in receivers
    for place, record in enumerate(found):
        kind = type(record)
        if kind in ORDERS:
            raise WireFormatError(f"it gives an order ({name_of(record)})")
        if kind is records.Landed:
            raise WireFormatError(f"{name_of(record)} is for its own gateway")
        if (kind in REPORTS) is not for_supervisor:
            raise WireFormatError(f"{name_of(record)} is not for those that it is sent to")
        if isinstance(record, records.Items):
            _check_parcel(record, found[:place], is_last=place == len(found) - 1)
    if any(isinstance(record, records.Freight) for record in found) and loaded(head) is None:
        raise WireFormatError("it says of slots what no worker does")


def _check_parcel(parcel: records.Items, before: Sequence[NamedTuple], *, is_last: bool) -> None:
    """What it says of slots is taken for what it is: slots of its machine, and not of this one."""
    if not is_last:
        raise WireFormatError("a parcel has something behind it")
    if sum(isinstance(record, records.Freight) for record in before) > 1:
        raise WireFormatError("it says twice what slots a parcel has")
    if parcel.slots and not (before and isinstance(before[-1], records.Freight)):
        raise WireFormatError("it refers to shared memory of this machine")
