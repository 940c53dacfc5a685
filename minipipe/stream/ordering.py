"""Items in order: senders say up to where all is settled, receivers what they still hold.

Rule 21 of the delivery protocol (ARCHITECTURE.md); what is held is decided in
`protocol.delivery.order`, how far a sender may go ahead of that in `protocol.delivery.ahead`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minipipe.stream import wire

if TYPE_CHECKING:
    from minipipe.stream.node import Node


class Ordering:
    """What a node says about order."""

    def __init__(self, node: Node) -> None:
        self._node = node
        wiring = node.wiring
        # By region: the segments that take in order what is sent from here, and where that is.
        self._receivers = {
            spec.region: spec.ordered_receivers
            for spec in wiring.outlets
            if spec.is_sender and spec.ordered_receivers
        }
        self._senders = {spec.region: spec.region_senders for spec in wiring.inlets if spec.ordered}
        self._marked: dict[tuple[int, int], int] = {}  # what each receiver was told, by region
        self._at: dict[tuple[int, int], int] = {}  # and each sender

    def send_marks(self) -> None:
        """Tells those who wait for it what has changed (MARK, AT)."""
        for region, segments in self._receivers.items():
            mark = self._node.recoveries[region].ledger.mark
            for receiver in self._workers_of(segments):
                if mark > self._marked.get((region, receiver), 0):
                    self._marked[region, receiver] = mark
                    self._node.send(receiver, (wire.MARK, region, mark))
        for region, segments in self._senders.items():
            inlets = [
                inlet
                for inlet in self._node.inlets.values()
                if inlet.spec.region == region and inlet.spec.ordered
            ]
            for sender in self._workers_of(segments):
                lowest = min(inlet.lowest(sender) for inlet in inlets)
                if lowest > self._at.get((region, sender), 0):
                    self._at[region, sender] = lowest
                    self._node.send(sender, (wire.AT, region, lowest))

    def _workers_of(self, segments: frozenset[int]) -> list[int]:
        node = self._node
        workers = [node.ident, *node.membership.peers]
        return [ident for ident in workers if node.segment_of(ident) in segments]
