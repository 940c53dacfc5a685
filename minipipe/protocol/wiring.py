"""What one worker has to know of the graph around it: frozen, and small enough to send.

Nothing in it depends on how many workers a segment has: that changes while a run runs, and is told
(`protocol.delivery.headcount`).
"""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from typing import Literal, TypeAlias

from minipipe.protocol.delivery.bundles import Bundling
from minipipe.protocol.delivery.paths import Step
from minipipe.protocol.frozen import frozen

# What a consumer may do with arrays in shared memory: `codec.borrower` says what each comes to.
Access: TypeAlias = Literal["read", "write", "own", "private"]


class Role(Enum):
    """How a segment stands towards the items that it takes."""

    STATELESS = "stateless"  # stateless: passes identity on, confirms nothing
    STATEFUL = "stateful"  # has state: confirms what it has read
    FUNCTION_SINK = "function_sink"  # function Sink: confirms what its functor has returned from


@frozen
class Carried:
    """A join, and what the key of an item is that will be joined there."""

    join: int  # its segment
    depth: int | None  # steps of the path that count; None: the key is given at the fork


@frozen
class InletSpec:
    """The consuming end of a stream, in one worker."""

    stream: int
    name: str
    region: int
    role: Role
    feeders: str  # the names of the segments that put to it
    producers: frozenset[int]  # those segments
    closers: frozenset[int]  # senders (segments) whose items may come by it
    region_senders: frozenset[int]  # all senders of the region
    rivals: frozenset[int]  # segments whose workers share its items; of a broadcast, its own
    buffer_size: int | None
    slot: Step | None = None  # of a broadcast: what the path of every item grows by here
    unlimited: frozenset[int] = frozenset()  # producing segments whose edge closes a loop
    loop: frozenset[int] = frozenset()  # the segments of the loop that this worker is in
    fed_by_loop: bool = False  # some of the producers are in the loop
    shares_origin: bool = False  # of a join: some segment feeds this stream and another of its
    ordered: bool = False  # it takes items in the order of their sender's numbers
    unforked: bool = False  # every item that is not dropped comes to one of the receivers, by this
    region_receivers: frozenset[int] = frozenset()  # all receivers of the region
    access: Access = "read"  # what the segment may do with arrays in shared memory
    bundling: Bundling | None = None  # if its items come in bundles


@frozen
class OutletSpec:
    """The producing end of a stream, in one worker."""

    stream: int
    name: str
    region: int
    groups: tuple[frozenset[int], ...]  # consuming segments; each group gets every item once
    receivers: frozenset[int]  # segments that confirm in the region
    is_sender: bool  # else it passes on the identity that came in
    ledger_bytes: int
    holders: frozenset[int] = frozenset()  # segments whose workers may have what was sent
    broadcast: bool = False
    carried: tuple[Carried, ...] = ()  # joins whose keys travel beside the items
    loop: frozenset[int] = frozenset()  # the segments of the loop that this worker is in
    ordered_receivers: frozenset[int] = frozenset()  # of the receivers, those that take in order
    exclusive: bool = False  # each item goes to one worker, which confirms what it has received
    bundling: Bundling | None = None  # if its items go in bundles

    @property
    def consumers(self) -> frozenset[int]:
        """Segments that take from the stream."""
        return frozenset().union(*self.groups)


@frozen
class Wiring:
    """All ends of one segment's workers."""

    segment: int
    inlets: tuple[InletSpec, ...]
    outlets: tuple[OutletSpec, ...]
    in_loop: bool = False
    pairs: Carried | None = None  # of a join by identity: what its keys are
    tombstone_groups: tuple[tuple[int, ...], ...] = ()  # outputs of which one gets what is dropped
    carries_tombstones: bool = False  # tombstones may arrive

    @cached_property
    def correspondents(self) -> frozenset[int]:
        """The segments whose workers those of this one may ever have something to say to.

        Its neighbours; the senders whose items it confirms, or says that it has dropped; and the
        receivers that a sender tells its marks and its end.
        """
        found: set[int] = set()
        for inlet in self.inlets:
            found |= inlet.closers if inlet.role is Role.STATELESS else inlet.region_senders
        for outlet in self.outlets:
            found |= outlet.consumers
            if outlet.is_sender:
                found |= outlet.receivers
        return frozenset(found)
