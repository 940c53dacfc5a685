"""A worker that leaves in mid-run, without a death: rules 23 to 25 of the delivery protocol.

It is told who its producers are (RETIRE), and these that it leaves (RETIRING): they send it nothing
more, and say so behind their last item (LAST).  It works off what it has.  Then it says BYE behind
all that it has sent to each of the others; who reads that has taken up all before, and answers
TAKEN.  When all have, it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from minipipe.stream import records
from minipipe.stream.ends import Ends
from minipipe.stream.orders import Orders
from minipipe.stream.outbox import Outbox
from minipipe.stream.peers import Peers


class Departure:
    """A worker's part when it leaves, and when another one does."""

    def __init__(self, ends: Ends, peers: Peers, outbox: Outbox, orders: Orders) -> None:
        self._ends = ends
        self._peers = peers
        self._outbox = outbox
        self._orders = orders
        self._producers: set[int] | None = None  # that are to say LAST; None: it does not leave
        self._last_of: set[int] = set()
        self._taken: set[tuple[int, int]] = set()  # by whom, and of which channel

    # ------------------------------------------------------ as the one that leaves
    def on_retire(self, supervisor: int, retire: records.Retire) -> None:
        """This worker is to leave, when these have sent their last."""
        self._producers = set(retire.producers)
        self.look()

    def on_last(self, producer: int, last: records.Last) -> None:
        """This producer sends nothing more."""
        self._last_of.add(producer)
        self.look()

    def on_taken(self, peer: int, taken: records.Taken) -> None:
        """That peer has taken up all that it was sent."""
        self._taken.add((peer, taken.channel))

    def look(self) -> None:
        """Whether nothing more comes: who is dead, or gone, need not say so.

        Nothing is left either that waits for its FENCE: a producer that sends in a new epoch has
        had that FENCE before RETIRING, so this worker has had it before RETIRE (rule 10).
        """
        dead = self._peers.membership.dead
        if self._producers is not None:
            self._orders.leaving |= all(p in self._last_of or p in dead for p in self._producers)

    def cancel(self) -> None:
        """The run has come to its end: nobody needs anything of it any more."""
        self._producers = None

    def say_bye(self, block: Callable[[Callable[[], bool]], None]) -> None:
        """Waits until all that was sent is taken up; at the end of the run there is no need.

        Args:
            block: serves until something is so.
        """
        outlets = self._ends.outlets.values()
        block(lambda: self._producers is None or not any(outlet.has_unsent for outlet in outlets))
        if self._producers is not None:
            channels = self._outbox.send_behind_all(records.Bye)
            block(lambda: self._producers is None or self._all_taken(channels))

    def _all_taken(self, channels: Iterable[tuple[int, int]]) -> bool:
        dead = self._peers.membership.dead
        return all(channel in self._taken or channel[0] in dead for channel in channels)

    # ------------------------------------------------------ as one of the others
    def on_retiring(self, supervisor: int, retiring: records.Retiring) -> None:
        """A consumer is to leave: it is sent nothing more."""
        for outlet in self._ends.outlets.values():
            if retiring.worker in outlet.consumers.idents:
                outlet.retire(retiring.worker)
                stream = outlet.spec.stream
                self._outbox.send_behind_items(stream, retiring.worker, records.Last())

    def on_bye(self, peer: int, bye: records.Bye) -> None:
        """All that a peer has sent this way is here."""
        self._outbox.send(peer, records.Taken(bye.channel))
