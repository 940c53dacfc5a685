"""When a loop comes to rest: what a worker in it says of itself.

Decided, from what all members say, in `protocol.delivery.quiescence`.
"""

from __future__ import annotations

from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.stream import records
from minipipe.stream.counts import loop_counts
from minipipe.stream.ends import Ends
from minipipe.stream.inlet import Inlet
from minipipe.stream.outbox import Outbox
from minipipe.stream.peers import Peers


class Rest:
    """Of a worker in a loop.

    Attributes:
        passive: it can do nothing until something comes.
        ended: it takes no more items, and drops what comes.
    """

    def __init__(self, ends: Ends, peers: Peers, outbox: Outbox) -> None:
        self.passive = False
        self.ended = False
        self._ends = ends
        self._peers = peers
        self._outbox = outbox
        self._told: records.Rest | None = None

    def report(self) -> None:
        """Tells the supervisor that nothing is left to do here, and what was passed on.

        From all members' counts it sees whether the whole loop has come to rest.
        """
        inlets = self._ends.inlets.values()
        if not (self.ended or all(map(_only_the_loop_feeds, inlets))):
            return
        loop = next((inlet.spec.loop for inlet in inlets), frozenset())
        sent, arrived = loop_counts(self._ends, self._peers.workers_of(loop))
        now = records.Rest(self.ended, tuple(sent), tuple(arrived))
        if now != self._told:
            self._told = now
            self._outbox.send(SUPERVISOR, now)


def _only_the_loop_feeds(inlet: Inlet) -> bool:
    """Whether all senders have closed that are not in the same loop."""
    return inlet.outer_closed >= inlet.counts.outer_senders
