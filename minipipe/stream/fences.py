"""What a worker does when another one has died: the rules of recovery, at its sockets.

The supervisor raises the epoch of the region that the dead one worked in (FENCE).  Stateless
workers drop what they have of lower epochs; receivers say what they hold (FENCED); senders wait
for all of these, and send again what nobody has.  Decided in `protocol.delivery.recovery`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.protocol.delivery.paths import Path
from minipipe.protocol.run.events import CrashSuspect
from minipipe.protocol.wiring import Role
from minipipe.stream import wire
from minipipe.stream.outlet import Shipment

if TYPE_CHECKING:
    from minipipe.stream.node import Node


class Fences:
    """A node's part in every recovery."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._again: set[int] = set()  # regions in which something is to be sent again
        # By region: items of this sender's that workers there have died of.
        self._charged: dict[int, list[CrashSuspect]] = {}

    @property
    def sends_again(self) -> bool:
        """Whether something that was sent before is waiting to be sent again."""
        return bool(self._again)

    def on_fence(
        self,
        region: int,
        epoch: int,
        dead: Sequence[Interval],
        receivers: Sequence[int],
        crash_suspects: Sequence[CrashSuspect] = (),
    ) -> None:
        """These are dead, and what is under way in the region does not count any more."""
        node = self._node
        if node.in_user_code:
            node.sync_progress(
                node.in_user_code
            )  # how far the functor has come, which is to be told
        node.note_crash_suspects(crash_suspects)
        self._charged[region] = [
            note_crash_suspects
            for note_crash_suspects in crash_suspects
            if note_crash_suspects[1] == node.ident
        ]
        known = node.membership
        fresh = known.fence(region, epoch, dead)
        self._bury()
        if not fresh:
            return
        for inlet in node.inlets.values():
            if inlet.spec.region == region:
                node.report_turn(inlet)  # before FENCED, on the same links
                inlet.fence(epoch)
        self._say_fenced(region, epoch)
        for outlet in node.outlets.values():
            if outlet.spec.region == region:
                outlet.fence(epoch)
        recovery = node.recoveries.get(region)
        if recovery is not None:
            recovery.fence(epoch, receivers)
            if not recovery.paused:
                self._begin(region)

    def on_fenced(
        self,
        receiver: int,
        region: int,
        epoch: int,
        held: Sequence[tuple[Sequence[int], Sequence[Any]]],
    ) -> None:
        """A receiver says what it has of ours and has not confirmed."""
        recovery = self._node.recoveries.get(region)
        if recovery is None:
            return
        said = [(wire.unflat(runs), wire.path_of(path)) for runs, path in held]
        if recovery.fenced(receiver, epoch, said):
            self._begin(region)

    def send_again(self) -> None:
        """Sends again what there is room for."""
        node = self._node
        for region in list(self._again):
            recovery = node.recoveries[region]
            while (again := recovery.next()) is not None:
                shipment = cast("Shipment", again.entry.payload)
                sent = node.outlets[shipment.stream].send_again(again)
                if not sent:
                    break
                recovery.sent(again.first + sent)
            if not recovery.busy:
                self._again.discard(region)

    def _begin(self, region: int) -> None:
        node, recovery = self._node, self._node.recoveries[region]
        items = recovery.items
        settled = [
            (segment, number, outputs)
            for segment, _, number, outputs, _ in self._charged.pop(region, ())
            if recovery.ledger.is_settled(number, outputs)
        ]
        node.send(SUPERVISOR, (wire.RESENT, region, recovery.epoch, items, settled))
        if recovery.busy:
            self._again.add(region)
            self.send_again()

    def _bury(self) -> None:
        """Nothing is kept of those that are dead: each part of the node looks for them itself."""
        node = self._node
        dead = node.membership.dead
        node.outbox.forget(dead)
        node.unsubscribe(dead)
        # They may be producers or consumers in a region whose own FENCE is older than this one.
        for inlet in node.inlets.values():
            inlet.forget(dead)
        for outlet in node.outlets.values():
            outlet.forget(dead)
        for recovery in node.recoveries.values():
            recovery.lost(dead)

    def _say_fenced(self, region: int, epoch: int) -> None:
        """Tells every sender of the region what this worker holds of it, if it receives there."""
        node = self._node
        inlets = [
            inlet
            for inlet in node.inlets.values()
            if inlet.spec.region == region and inlet.spec.role is not Role.STATELESS
        ]
        if not inlets:
            return
        held: dict[int, list[tuple[Sequence[int], Path]]] = {}
        for inlet in inlets:
            for parcel, runs in inlet.held:
                held.setdefault(parcel.origin, []).append((_flat(runs), parcel.path))
        senders = frozenset().union(*(inlet.spec.region_senders for inlet in inlets))
        for ident in [node.ident, *node.membership.peers]:
            if node.segment_of(ident) in senders:
                node.send(ident, (wire.FENCED, region, epoch, held.get(ident, ())))


def _flat(runs: Sequence[Interval]) -> Sequence[int]:
    return [number for run in runs for number in run]
