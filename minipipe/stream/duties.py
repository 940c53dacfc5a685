"""What a worker owes to others while its functor is at work, and how soon.

The main thread sends what others wait for before it goes to a functor that may take long.  What is
left is due some time later, by the service thread; mostly nothing is.
"""

from __future__ import annotations

from typing import Final

from minipipe.stream.ends import Ends
from minipipe.stream.inlet import Inlet
from minipipe.stream.outbox import Outbox
from minipipe.stream.page import OUTSIDE, Page
from minipipe.stream.skips import Skips

FLUSH_S: Final = 0.002  # while it works, a worker tells others of its progress this often
UNSENT_S: Final = 0.005  # of quick functors; of others nothing is left unsent
PUBLISH_S: Final = 0.1  # how often a worker that works writes its counters down
# Somebody waits for an answer to what he sends, and that may decide how far he is.
LISTEN_S: Final = 0.01
LATER_S: Final = 0.1  # nobody waits for it unless something else goes wrong
# Nobody waits at all: the counters of one that is in a functor for longer.  (An alarm is set anew
# when half of its time is over: of functors of 50 ms, every third call pays for it.)
SHOWN_S: Final = 0.3


def is_slow(service_time_s: float) -> bool:
    """Whether a functor takes long as a rule, or may (0: it has not been called yet).

    Before such a call all that others wait for is sent.
    """
    return service_time_s >= FLUSH_S or service_time_s == 0.0


def has_news(inlet: Inlet) -> bool:
    """Whether there is something to confirm, or to say of what was dropped."""
    turn = inlet.turn
    if turn is None or inlet.is_stateful:
        return bool(inlet.unconfirmed)
    if inlet.is_stateless:
        return bool(turn.drops)
    return turn.finished > turn.told_finished


class Duties:
    """Of one worker.

    Attributes:
        unpublished: its counters have changed since they were written down last.
        lull_s: nothing has come for this long: time for what nobody waits for.
        told_every_s: at work it tells of what it has confirmed this often: a message costs as much
            as an item.
    """

    def __init__(self, ends: Ends, outbox: Outbox, skips: Skips, page: Page) -> None:
        self._outbox = outbox
        self._skips = skips
        self._page = page
        self.unpublished = False
        self._inlets = list(ends.inlets.values())
        self._outlets = list(ends.outlets.values())
        # Whose consumers may give tickets.
        self._ticketed = [
            outlet.consumers.groups[0]
            for outlet in self._outlets
            if outlet.consumers.late is not None
        ]
        # Those whose sender's marks are waited for.
        self._in_order = [
            (outlet, outlet.ledger)
            for outlet in self._outlets
            if outlet.ledger is not None and outlet.spec.ordered_receivers
        ]
        self._ordered = any(inlet.spec.ordered for inlet in self._inlets)
        self._recoveries = list(ends.recoveries.values())
        self._unsent = [outlet.unsent for outlet in self._outlets]
        self._may_listen_soon = self._ordered or bool(self._outlets)
        # What receivers in order confirm, others wait for.
        self.lull_s = 0.003 if self._ordered else 0.01
        self.told_every_s = 0.01 if self._ordered else 0.02

    def due_s(self) -> float:
        """After how long in the functor the service thread has to look; 0: nothing is owed."""
        for tokens in self._unsent:
            if tokens:
                return UNSENT_S
        if self._may_listen_soon and self._listens_soon():
            return LISTEN_S
        outbox = self._outbox
        if outbox.later or self._skips.waits or self._listens_later():
            return LATER_S
        for inlet in self._inlets:
            if has_news(inlet):
                return LATER_S
        return SHOWN_S if self.unpublished else 0.0

    @property
    def listens(self) -> bool:
        """Whether what others send has to be taken in while the functor is at work."""
        if self._page.item == OUTSIDE or any(outlet.has_unsent for outlet in self._outlets):
            return True
        return self._listens_soon() or self._listens_later()

    def _listens_soon(self) -> bool:
        if self._outbox.awaiting or self._ordered:
            return True
        for accounts in self._ticketed:
            # A ticket that lies here may be asked back: somebody has an item for it.
            if accounts.give_tickets:
                return True
        for recovery in self._recoveries:
            if recovery.busy:
                return True
        return bool(self._in_order) and any(not ledger.empty for _, ledger in self._in_order)

    def _listens_later(self) -> bool:
        """Whether one may wait for what this worker has not even read.

        A sender whose ledger is full waits for all receivers, and what it would send then may be
        what another receiver needs, for which this one's functor waits (an allreduce).  And a
        worker that has taken the place of another one has no credit until it is heard.
        """
        for inlet in self._inlets:
            counts = inlet.counts
            if inlet.is_stateful and not counts.is_sole_receiver:
                return True
            if len(inlet.producers.by_ident) < counts.producers:
                return True
        return False
