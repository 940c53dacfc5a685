"""The ends of all streams of one worker."""

from __future__ import annotations

from dataclasses import dataclass, field

from minipipe.codec import Encoder
from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.bundles import Bundling
from minipipe.protocol.delivery.headcount import Headcount
from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.numbering import first_of
from minipipe.protocol.delivery.recovery import Recovery
from minipipe.protocol.flow.tickets import Tickets
from minipipe.protocol.wiring import InletSpec, OutletSpec, Wiring
from minipipe.stream.bundling import BundlingOutlet
from minipipe.stream.inlet import Inlet
from minipipe.stream.outlet import Dispatch, Outlet
from minipipe.stream.page import OUTSIDE
from minipipe.stream.parcel_decoder import ParcelDecoder
from minipipe.stream.shipment import release_settled


def _may_give_tickets(wiring: Wiring, inlet: InletSpec) -> bool:
    """Whether the workers of this segment may have tickets for their places.

    Not for a broadcast: who has a ticket of one segment and waits for one of another could wait for
    somebody who has the other and waits for the one.  Not for a join, which needs more of one
    stream to be able to take from another; nor for what comes in order, whose place is free when it
    was read; nor in a loop, whose closing edge has no limit; nor if the user has set one.
    """
    if inlet.slot is not None or inlet.ordered or inlet.buffer_size is not None:
        return False
    return len(wiring.inlets) == 1 and not wiring.in_loop


@dataclass
class Ends:
    """What a worker takes from, what it puts to, and what it keeps until that has arrived.

    Attributes:
        inlets: By stream.
        outlets: By stream.
        recoveries: By region: numbers are of sender and region.
        bundlings: By region, where what is sent from here goes in bundles.
    """

    inlets: dict[int, Inlet] = field(default_factory=dict)
    outlets: dict[int, Outlet] = field(default_factory=dict)
    recoveries: dict[int, Recovery] = field(default_factory=dict)
    bundlings: dict[int, Bundling] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        wiring: Wiring,
        ident: int,
        *,
        encoder: Encoder,
        decoder: ParcelDecoder,
        dispatch: Dispatch,
    ) -> Ends:
        """The ends that this wiring asks for, of the worker of this id."""
        ends = cls()
        for inlet in wiring.inlets:
            tickets = Tickets(ident) if _may_give_tickets(wiring, inlet) else None
            ends.inlets[inlet.stream] = Inlet(inlet, decoder, tickets)
        for spec in wiring.outlets:
            recovery = ends._recovery_of(spec)
            kind = Outlet
            if spec.bundling is not None:
                kind, ends.bundlings[spec.region] = BundlingOutlet, spec.bundling
            ends.outlets[spec.stream] = kind(spec, ident, encoder, dispatch, recovery)
        return ends

    def _recovery_of(self, spec: OutletSpec) -> Recovery | None:
        if not spec.is_sender:
            return None
        made = Ledger(limit_bytes=spec.ledger_bytes, min_items=1)  # until it is told of the others
        return self.recoveries.setdefault(spec.region, Recovery(made))

    def bundle_size(self, region: int) -> int:
        """How many items a number stands for in the ledger of this region."""
        bundling = self.bundlings.get(region)
        return 1 if bundling is None else bundling.size

    def settled_as(self, region: int, segment: int, number: int) -> int:
        """By which number the ledger has what that segment of the region knows by this one."""
        bundling = self.bundlings.get(region)
        return number if bundling is None else bundling.settled_as(segment, number)

    def inlet(self, stream: int) -> Inlet:
        """The end of this stream that is here.

        Raises:
            WireFormatError: there is none.
        """
        inlet = self.inlets.get(stream)
        if inlet is None:
            raise WireFormatError(f"stream {stream} does not end here")
        return inlet

    def outlet(self, stream: int) -> Outlet:
        """The beginning of this stream that is here.

        Raises:
            WireFormatError: there is none.
        """
        outlet = self.outlets.get(stream)
        if outlet is None:
            raise WireFormatError(f"stream {stream} does not begin here")
        return outlet

    def inlets_of(self, region: int) -> list[Inlet]:
        """The inlets whose streams are of this region."""
        return [inlet for inlet in self.inlets.values() if inlet.spec.region == region]

    def outlets_of(self, region: int) -> list[Outlet]:
        """The outlets whose streams are of this region."""
        return [outlet for outlet in self.outlets.values() if outlet.spec.region == region]

    def count(self, headcount: Headcount) -> None:
        """Takes in how many workers there are around this one."""
        for inlet in self.inlets.values():
            inlet.counts = counts = headcount.at_inlet(inlet.spec)
            if inlet.pace.producers != counts.producers:
                inlet.pace.producers = counts.producers
                inlet.producers.tell_all()  # each of them may have more, or less, under way
        for outlet in self.outlets.values():
            if outlet.ledger is not None:
                outlet.ledger.allow(headcount.ledger_items(outlet.spec))

    def begin_epoch(self, region: int, epoch: int) -> None:
        """This worker was born when the region was in this epoch."""
        for inlet in self.inlets_of(region):
            inlet.fence(epoch)
        for outlet in self.outlets_of(region):
            outlet.fence(epoch)
        if region in self.recoveries:
            self.recoveries[region].fence(epoch, ())

    def begin_pass(self, pass_: int) -> None:
        """What comes and goes from now on is of this pass; what is here still is for nobody."""
        for inlet in self.inlets.values():
            inlet.begin_pass(pass_)
        for outlet in self.outlets.values():
            outlet.begin_pass()
        for recovery in self.recoveries.values():
            recovery.ledger.begin_pass(first_of(pass_))
            release_settled(recovery.ledger)

    def sync_progress(self, in_user_code: int) -> None:
        """Brings the parcel in work up to date, from the item that the functor is at."""
        for inlet in self.inlets.values():
            if inlet.followed and inlet.turn is not None and in_user_code != OUTSIDE:
                inlet.turn.at(in_user_code - 1)
