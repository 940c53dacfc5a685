"""Items in order: senders say up to where all is settled, receivers what they still hold.

Rule 21 of the delivery protocol (ARCHITECTURE.md); what is held is decided in
`protocol.delivery.order`, how far a sender may go ahead of that in `protocol.delivery.ahead`.
"""

from __future__ import annotations

from minipipe.stream import records
from minipipe.stream.ends import Ends
from minipipe.stream.outbox import Outbox
from minipipe.stream.peers import Peers


class Ordering:
    """What a worker says about order.

    Attributes:
        in_use: it says anything.
    """

    def __init__(self, ends: Ends, peers: Peers, outbox: Outbox) -> None:
        self._ends = ends
        self._peers = peers
        self._outbox = outbox
        inlets = [inlet.spec for inlet in ends.inlets.values()]
        outlets = [outlet.spec for outlet in ends.outlets.values()]
        # By region: the segments that take in order what is sent from here, and where that is.
        self._receivers = {
            spec.region: spec.ordered_receivers
            for spec in outlets
            if spec.is_sender and spec.ordered_receivers
        }
        self._senders = {spec.region: spec.region_senders for spec in inlets if spec.ordered}
        self.in_use = bool(self._receivers or self._senders)
        self._marked: dict[tuple[int, int], int] = {}  # what each receiver was told, by region
        self._low_watermarks: dict[tuple[int, int], int] = {}  # and each sender

    def send_marks(self) -> None:
        """Tells those who wait for it what has changed (MARK, AT)."""
        for region, segments in self._receivers.items():
            mark = self._ends.recoveries[region].ledger.mark
            for receiver in self._peers.workers_of(segments):
                if mark > self._marked.get((region, receiver), 0):
                    self._marked[region, receiver] = mark
                    self._outbox.send(receiver, records.Mark(region, mark))
        for region, segments in self._senders.items():
            inlets = [inlet for inlet in self._ends.inlets_of(region) if inlet.spec.ordered]
            for sender in self._peers.workers_of(segments):
                lowest = min(inlet.lowest(sender) for inlet in inlets)
                if lowest > self._low_watermarks.get((region, sender), 0):
                    self._low_watermarks[region, sender] = lowest
                    self._outbox.send(sender, records.At(region, lowest))
