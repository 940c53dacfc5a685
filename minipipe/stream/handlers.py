"""What a worker does about each record that it is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from minipipe.errors import WireFormatError
from minipipe.errors.cause import because
from minipipe.protocol.delivery.bundles import split
from minipipe.protocol.delivery.membership import SUPERVISOR, Peer
from minipipe.protocol.delivery.numbering import pass_of
from minipipe.protocol.flow.credit import Grant
from minipipe.stream import records, wire
from minipipe.stream.absent import Absences
from minipipe.stream.arrived import Arrived
from minipipe.stream.closes import Closes
from minipipe.stream.departure import Departure
from minipipe.stream.ends import Ends
from minipipe.stream.fences import Fences
from minipipe.stream.fields import unflat
from minipipe.stream.landing import Landing
from minipipe.stream.memory import Memory
from minipipe.stream.offers import Offers
from minipipe.stream.orders import Orders
from minipipe.stream.outbox import Outbox
from minipipe.stream.passes import Passes
from minipipe.stream.peers import Peers
from minipipe.stream.probes import Probes
from minipipe.stream.shipment import release_settled
from minipipe.transport import Buffer

_ITEMS: Final = records.Items


class Handlers:
    """Takes messages in, for a worker."""

    def __init__(
        self,
        ends: Ends,
        peers: Peers,
        *,
        outbox: Outbox,
        memory: Memory,
        absences: Absences,
        orders: Orders,
        fences: Fences,
        departure: Departure,
        probes: Probes,
        offers: Offers,
    ) -> None:
        self._ends = ends
        self._peers = peers
        self._membership = peers.membership
        self._outbox = outbox
        self._landing = Landing(memory, outbox, absences)
        self._orders = orders
        self._fences = fences
        self._closes = Closes(ends, peers, orders)
        self.passes = Passes(ends, orders, fences, self._closes)
        self._departure = departure
        self._probes = probes
        self._early: list[wire.Message] = []
        self._by_kind: dict[type[NamedTuple], Callable[[int, Any], None]] = {
            records.Freight: self._landing.on_freight,
            records.Hello: self._on_hello,
            records.Grant: self._on_grant,
            records.Confirm: self._on_confirm,
            records.Dropped: self._on_dropped,
            records.Close: self._closes.on_close,
            records.Mark: self._on_mark,
            records.At: self._on_at,
            records.Probe: self._on_probe,
            records.Offer: offers.on_offer,
            records.Recall: offers.on_recall,
            records.Returned: offers.on_returned,
            records.Init: self._on_init,
            records.Join: self._on_join,
            records.Start: self._on_start,
            records.Drain: self._on_drain,
            records.Leave: self._on_leave,
            records.Count: self._on_count,
            records.Gone: self._on_gone,
            records.Retire: departure.on_retire,
            records.Retiring: departure.on_retiring,
            records.Last: departure.on_last,
            records.Bye: departure.on_bye,
            records.Taken: departure.on_taken,
            records.Stop: self._on_stop,
            records.Exit: self._on_exit,
            records.Kept: self._on_kept,
            records.Fence: self._on_fence,
            records.Abandon: self._on_abandon,
            records.Fenced: self._on_fenced,
        }

    def take(self, message: wire.Message) -> None:
        """Takes a message in, or keeps it until this worker has been told who is there."""
        membership = self._membership
        if membership.born:
            self._take(message)
        elif message.run == membership.run:
            self._before_birth(message)

    def _before_birth(self, message: wire.Message) -> None:
        """Until INIT, all waits: what others say makes no sense before (rule 16)."""
        if message.sender != SUPERVISOR:
            self._early.append(message)
            return
        self._take(message)
        if self._membership.born:
            early, self._early = self._early, []
            for waiting in early:
                self._take(waiting)

    def _take(self, message: wire.Message) -> None:
        if not self._membership.admits(message.run, message.sender):
            self._landing.dropped(message)
            return
        for record in message.records():
            try:
                if type(record) is _ITEMS:
                    self._on_items(message.sender, message.frames, record)
                    continue
                handler = self._by_kind.get(type(record))
                if handler is None:
                    raise WireFormatError("it is not for workers")
                handler(message.sender, record)
            except WireFormatError as error:
                stream = getattr(record, "stream", None)
                refused = message.refused(records.name_of(record), error.what, stream)
                raise because(refused, error) from error

    # ------------------------------------------------------------ from workers
    def _on_items(self, sender: int, frames: Sequence[Buffer], items: records.Items) -> None:
        runs, epoch = items.runs, items.epoch
        inlet = self._ends.inlet(items.stream)
        if sender not in inlet.producers.by_ident:
            raise WireFormatError("it comes from who has not said HELLO")
        if len(runs) == 2:
            intervals = [(runs[0], runs[1])]
            count = runs[1] - runs[0]
        else:
            intervals = unflat(runs)
            count = sum(stop - first for first, stop in intervals)
        if not count:
            raise WireFormatError("it has no items")
        path = items.path
        if inlet.spec.slot is not None:  # a broadcast forks here: the message is the same for all
            path = (*path, inlet.spec.slot)
        parcel = Arrived(
            stream=items.stream,
            producer=sender,
            origin=items.origin,
            epoch=epoch,
            runs=intervals,
            path=path,
            body=items.body,
            frames=frames,
            count=count,
        )
        if items.done:
            parcel.done = frozenset(items.done)
        if items.select:
            parcel.select = unflat(items.select)
        bundling = inlet.spec.bundling
        if bundling is not None:
            parcel.members = split(unflat(items.members), bundling.size)
            if len(parcel.members) != count:
                raise WireFormatError("it has another number of bundles than it says")
        elif items.members:
            raise WireFormatError("it has bundles, and no such thing is expected")
        if items.keys:
            if any(len(keys) != count for _, keys in items.keys):
                raise WireFormatError("it has another number of keys than of items")
            parcel.keys = dict(items.keys)
        if items.classes:  # also of a parcel that is dropped: its sender counts on it
            parcel.classes = inlet.producers.named(sender, items.classes)
        if items.slots and not self._landing.borrow(parcel, items.slots, inlet.spec.region):
            inlet.missed(parcel)
            return
        inlet.bytes_in += parcel.size_bytes
        inlet.arrived(parcel)

    def _on_hello(self, sender: int, hello: records.Hello) -> None:
        inlet = self._ends.inlet(hello.stream)
        self._peers.greeted(sender, hello)
        inlet.producers.hello(sender, hello.segment)
        # Its window is news to it whatever the window is, so the next flush grants.

    def _on_grant(self, sender: int, said: records.Grant) -> None:
        seconds, scale = said.service_time_us * 1e-6, said.window_scale
        told = Grant(said.consumed, said.finished, said.window, seconds, scale, said.is_ticket)
        outlet = self._ends.outlet(said.stream)
        grant = self._outbox.granted(said.stream, sender, told)
        if grant is not None:
            outlet.consumers.granted(sender, grant, time.monotonic())

    def _on_confirm(self, sender: int, confirm: records.Confirm | records.Dropped) -> None:
        recovery = self._ends.recoveries.get(confirm.region)
        if recovery is not None:
            recovery.ledger.acknowledge(unflat(confirm.runs), confirm.path, said_by=sender)
            release_settled(recovery.ledger)

    def _on_dropped(self, sender: int, dropped: records.Dropped) -> None:
        # Of an older epoch: that attempt does not count (rule 9).
        if dropped.epoch == self._membership.epoch(dropped.region):
            self._on_confirm(sender, dropped)

    def _on_mark(self, sender: int, mark: records.Mark) -> None:
        if pass_of(mark.number) != self._orders.pass_:
            return  # its sender was told before us that this pass is left: what comes may be open
        for inlet in self._ends.inlets_of(mark.region):
            inlet.marked(sender, mark.number)

    def _on_at(self, sender: int, at: records.At) -> None:
        recovery = self._ends.recoveries.get(at.region)
        if recovery is not None:
            recovery.ledger.low_watermark(sender, at.number)

    def _on_probe(self, sender: int, probe: records.Probe) -> None:
        self._probes.on_probe(probe)

    # ------------------------------------------------------ from the supervisor
    def _on_init(self, sender: int, init: records.Init) -> None:
        new = self._membership.init(init.epochs, init.dead, self._peers.listed(init.peers))
        self._count(init.workers)  # before anybody is greeted
        self._orders.note_crash_suspects(init.crash_suspects)
        for region, epoch in init.epochs:
            self._ends.begin_epoch(region, epoch)
        if init.pass_:
            self.passes.begin(init.pass_)
        for peer in new:
            self._peers.connect(peer)

    def _count(self, workers: Sequence[tuple[int, int]]) -> None:
        self._peers.headcount.told(workers)
        self._ends.count(self._peers.headcount)

    def _on_count(self, sender: int, count: records.Count) -> None:
        self._count([count])

    def _on_join(self, sender: int, join: records.Join) -> None:
        peer = Peer(*join)
        if self._membership.join(peer):
            self._peers.connect(peer)
            self._closes.look_again()

    def _on_fence(self, sender: int, fence: records.Fence) -> None:
        self._fences.on_fence(fence)
        self._departure.look()

    def _on_abandon(self, sender: int, abandon: records.Abandon) -> None:
        self.passes.on_abandon(sender, abandon)
        self._departure.look()

    def _on_fenced(self, sender: int, fenced: records.Fenced) -> None:
        self._fences.on_fenced(sender, fenced)

    def _on_start(self, sender: int, start: records.Start) -> None:
        self._orders.start(start.pass_)

    def _on_drain(self, sender: int, drain: records.Drain) -> None:
        self._orders.draining = True

    def _on_leave(self, sender: int, leave: records.Leave) -> None:
        self._orders.leaving = True
        self._departure.cancel()

    def _on_gone(self, sender: int, gone: records.Gone) -> None:
        self._membership.mark_dead([(gone.worker, gone.worker + 1)])
        self._fences.bury()
        self._departure.look()

    def _on_stop(self, sender: int, stop: records.Stop) -> None:
        self._orders.stop(stop.outcome)

    def _on_exit(self, sender: int, exit: records.Exit) -> None:
        self._orders.exiting = True

    def _on_kept(self, sender: int, kept: records.Kept) -> None:
        self._orders.letters += 1
