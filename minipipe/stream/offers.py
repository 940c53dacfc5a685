"""What producers and consumers of a worker have to say of tickets, and when.

Decided in `protocol.flow.late_binding` and `protocol.flow.tickets`.
"""

from __future__ import annotations

import time

from minipipe.protocol.flow.late_binding import NEVER_S
from minipipe.stream import records
from minipipe.stream.ends import Ends
from minipipe.stream.outbox import Outbox


class Offers:
    """Of one worker, where several producers share several consumers."""

    def __init__(self, ends: Ends, outbox: Outbox) -> None:
        outlets, inlets = ends.outlets.items(), ends.inlets.values()
        self._late = [(stream, o.consumers.late) for stream, o in outlets if o.consumers.late]
        self._tickets = [i.producers.tickets for i in inlets if i.producers.tickets]
        self._ends = ends
        self._outbox = outbox

    def on_offer(self, producer: int, offer: records.Offer) -> None:
        """A producer has items for a ticket, or none any more."""
        self._ends.inlet(offer.stream).producers.offered(producer, offer.wanted)

    def on_recall(self, consumer: int, recall: records.Recall) -> None:
        """A consumer has taken back what tickets of it are here."""
        sent = self._ends.outlet(recall.stream).recalled(consumer, recall.given)
        self._outbox.send(consumer, records.Returned(recall.stream, sent))

    def on_returned(self, producer: int, returned: records.Returned) -> None:
        """A producer has answered that."""
        self._ends.inlet(returned.stream).producers.returned(producer, returned.sent)

    def send(self, now_s: float) -> None:
        """Tells consumers of items that wait for a ticket, or do so no more."""
        for stream, late in self._late:
            if late.due_s <= now_s:
                for consumer, wanted in late.offers(now_s):
                    self._outbox.send(consumer, records.Offer(stream, wanted))

    def within(self, timeout_s: float) -> float:
        """How long to wait, of this time, until something is to be said, or called back."""
        due_s = NEVER_S
        for _, late in self._late:
            if late.due_s < due_s:
                due_s = late.due_s
        for tickets in self._tickets:
            if tickets.recall_due_s < due_s:
                due_s = tickets.recall_due_s
        if due_s == NEVER_S:
            return timeout_s
        return min(timeout_s, max(0.0, due_s - time.monotonic()))
