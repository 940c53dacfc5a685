"""What a worker does when another one has died: the rules of recovery, at its sockets.

The supervisor raises the epoch of the region that the dead one worked in (FENCE).  Stateless
workers drop what they have of lower epochs; receivers say what they hold (FENCED); senders wait
for all of these, and send again what nobody has.  Decided in `protocol.delivery.recovery`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.protocol.delivery.paths import Path
from minipipe.protocol.run.told import CrashSuspect
from minipipe.stream import records
from minipipe.stream.ends import Ends
from minipipe.stream.feedback import Feedback
from minipipe.stream.fields import flat, unflat
from minipipe.stream.handover import Handover
from minipipe.stream.orders import Orders
from minipipe.stream.outbox import Outbox
from minipipe.stream.peers import Peers
from minipipe.stream.shipment import Shipment


class Fences:
    """A worker's part in every recovery.

    Attributes:
        again: the regions in which something that was sent before is to be sent again.
    """

    def __init__(
        self,
        ends: Ends,
        peers: Peers,
        *,
        outbox: Outbox,
        feedback: Feedback,
        orders: Orders,
        handover: Handover,
    ) -> None:
        self._ends = ends
        self._peers = peers
        self._outbox = outbox
        self._feedback = feedback
        self._orders = orders
        self._handover = handover
        self.again: set[int] = set()
        # By region: items of this sender's that workers there have died of.
        self._charged: dict[int, list[CrashSuspect]] = {}

    def on_fence(self, fence: records.Fence) -> None:
        """Some are dead, and what is under way in the region does not count any more."""
        region, epoch, crash_suspects = fence.region, fence.epoch, fence.crash_suspects
        ends, peers = self._ends, self._peers
        in_user_code = self._handover.in_user_code
        if in_user_code:
            ends.sync_progress(in_user_code)  # how far the functor has come, which is to be told
        self._orders.note_crash_suspects(crash_suspects)
        self._charged[region] = [suspect for suspect in crash_suspects if suspect[1] == peers.ident]
        fresh = peers.membership.fence(region, epoch, fence.dead)
        self.bury()
        if not fresh:
            return
        for inlet in ends.inlets_of(region):
            self._feedback.report_turn(inlet)  # before FENCED, on the same links
            inlet.fence(epoch)
        self._say_fenced(region, epoch)
        for outlet in ends.outlets_of(region):
            outlet.fence(epoch)
        recovery = ends.recoveries.get(region)
        if recovery is not None:
            recovery.fence(epoch, fence.receivers)
            if not recovery.paused:
                self._begin(region)

    def on_fenced(self, receiver: int, fenced: records.Fenced) -> None:
        """A receiver says what it has of ours and has not confirmed."""
        recovery = self._ends.recoveries.get(fenced.region)
        if recovery is None:
            return
        held = [(unflat(runs), path) for runs, path in fenced.held]
        if recovery.fenced(receiver, fenced.epoch, held):
            self._begin(fenced.region)

    def send_again(self) -> None:
        """Sends again what there is room for."""
        ends = self._ends
        for region in list(self.again):
            recovery = ends.recoveries[region]
            while (again := recovery.next()) is not None:
                shipment = cast("Shipment", again.entry.payload)
                sent = ends.outlets[shipment.stream].send_again(again)
                if not sent:
                    break
                recovery.sent(again.first + sent)
            if not recovery.busy:
                self.again.discard(region)

    def _begin(self, region: int) -> None:
        ends = self._ends
        recovery = ends.recoveries[region]
        items = recovery.items * ends.bundle_size(region)
        settled = tuple(
            (segment, number, outputs)
            for segment, _, number, outputs, _ in self._charged.pop(region, ())
            if recovery.ledger.is_settled(ends.settled_as(region, segment, number), outputs)
        )
        self._outbox.send(SUPERVISOR, records.Resent(region, recovery.epoch, items, settled))
        if recovery.busy:
            self.again.add(region)
            self.send_again()

    def bury(self) -> None:
        """Nothing is kept of who is dead, or gone: each part of the worker looks for itself."""
        ends, dead = self._ends, self._peers.membership.dead
        self._peers.forget(dead)
        # They may be producers or consumers in a region whose own FENCE is older than this one.
        for inlet in ends.inlets.values():
            inlet.producers.forget(dead)
        for outlet in ends.outlets.values():
            outlet.forget(dead)
        for recovery in ends.recoveries.values():
            recovery.lost(dead)

    def _say_fenced(self, region: int, epoch: int) -> None:
        """Tells every sender of the region what this worker holds of it, if it receives there."""
        inlets = [inlet for inlet in self._ends.inlets_of(region) if not inlet.is_stateless]
        if not inlets:
            return
        held: dict[int, list[tuple[Sequence[int], Path]]] = {}
        for inlet in inlets:
            for parcel, runs in inlet.held:
                held.setdefault(parcel.origin, []).append((flat(runs), parcel.path))
        senders = frozenset().union(*(inlet.spec.region_senders for inlet in inlets))
        for ident in self._peers.workers_of(senders):
            self._outbox.send(ident, records.Fenced(region, epoch, held.get(ident, ())))
