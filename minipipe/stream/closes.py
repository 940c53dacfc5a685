"""The ends of passes, as senders say them (CLOSE, rule 20), at the inlets that they concern."""

from __future__ import annotations

from minipipe.stream import records
from minipipe.stream.ends import Ends
from minipipe.stream.orders import Orders
from minipipe.stream.peers import Peers


class Closes:
    """What a receiver has heard of its senders' ends."""

    def __init__(self, ends: Ends, peers: Peers, orders: Orders) -> None:
        self._ends = ends
        self._peers = peers
        self._orders = orders
        self._early: list[tuple[int, records.Close]] = []  # each with who has said it

    def on_close(self, sender: int, close: records.Close) -> None:
        """A sender has sent its last of a pass."""
        segment, pass_ = self._peers.segment_of(sender), self._orders.pass_
        if segment < 0 or close.pass_ > pass_:
            # Its JOIN, or that the pass before is left (ABANDON), was sent before, and goes another
            # way.  (One without any item may be at its end at once, when this worker has not looked
            # at its orders yet.)
            self._early.append((sender, close))
            return
        if close.pass_ < pass_:
            return  # of one that was left early, or that was over before this worker came
        for inlet in self._ends.inlets_of(close.region):
            spec = inlet.spec
            if not inlet.is_stateless and segment in spec.closers:
                inlet.closed(sender, close.pass_, inner=segment in spec.loop)

    def look_again(self) -> None:
        """A worker was announced, or a pass has begun: what was said before may concern it."""
        early, self._early = self._early, []
        for sender, close in early:
            self.on_close(sender, close)
