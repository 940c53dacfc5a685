"""The ends of all streams of one worker."""

from __future__ import annotations

from dataclasses import dataclass, field

from minipipe.codec import Encoder
from minipipe.protocol.delivery.headcount import Headcount
from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.recovery import Recovery
from minipipe.protocol.wiring import OutletSpec, Wiring
from minipipe.stream.inlet import Inlet
from minipipe.stream.outlet import Dispatch, Outlet
from minipipe.stream.page import OUTSIDE
from minipipe.stream.parcel_decoder import ParcelDecoder


@dataclass(slots=True)
class Ends:
    """What a worker takes from, what it puts to, and what it keeps until that has arrived.

    Attributes:
        inlets: By stream.
        outlets: By stream.
        recoveries: By region: numbers are of sender and region.
    """

    inlets: dict[int, Inlet] = field(default_factory=dict)
    outlets: dict[int, Outlet] = field(default_factory=dict)
    recoveries: dict[int, Recovery] = field(default_factory=dict)

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
            ends.inlets[inlet.stream] = Inlet(inlet, decoder)
        for spec in wiring.outlets:
            recovery = ends._recovery_of(spec)
            ends.outlets[spec.stream] = Outlet(spec, ident, encoder, dispatch, recovery)
        return ends

    def _recovery_of(self, spec: OutletSpec) -> Recovery | None:
        if not spec.is_sender:
            return None
        made = Ledger(limit_bytes=spec.ledger_bytes, min_items=1)  # until it is told of the others
        return self.recoveries.setdefault(spec.region, Recovery(made))

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

    def sync_progress(self, in_user_code: int) -> None:
        """Brings the parcel in work up to date, from the item that the functor is at."""
        for inlet in self.inlets.values():
            if inlet.followed and inlet.turn is not None and in_user_code != OUTSIDE:
                inlet.turn.at(in_user_code - 1)
