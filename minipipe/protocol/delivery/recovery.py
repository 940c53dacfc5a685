"""What a sender does about a death: it waits for the receivers, then sends again what is open.

Rules 9 and 15 of the delivery protocol (ARCHITECTURE.md).  Stateless workers keep nothing, so
whatever was under way among them is lost or dropped with the old epoch; the sender has it all in
its ledger.  What no receiver has, it sends again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.ledger import Entry, Ledger
from minipipe.protocol.delivery.paths import Path
from minipipe.protocol.delivery.settling import DONE, NOTHING, Settling

Unconfirmed = Sequence[tuple[Sequence[Interval], Path]]  # taken, and not yet confirmed


class Again(NamedTuple):
    """A part of a parcel that has to be sent again."""

    entry: Entry
    first: int
    stop: int
    done: frozenset[Path]  # of each of these items: what is settled or held, or lies beyond a fork


class Recovery:
    """One sender's part in the recovery of one region.

    Goes through: sending; after FENCE waiting, until every receiver has said what it holds; sending
    again, in number order; sending.  A further FENCE begins anew.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.epoch = 0
        self._waits_for: set[int] = set()
        self._fenced: dict[int, tuple[int, Unconfirmed]] = {}  # by receiver: the latest FENCED
        # What the receivers hold: by the first number of the parcel that it is of.
        self._unconfirmed: dict[int, list[tuple[int, int, Path]]] = {}
        self._from: int | None = None  # the next number to look at for sending again

    @property
    def busy(self) -> bool:
        """Whether new items have to wait."""
        return bool(self._waits_for) or self._from is not None

    @property
    def paused(self) -> bool:
        """Whether nothing may be sent, since a receiver has not said yet what it has."""
        return bool(self._waits_for)

    def fence(self, epoch: int, receivers: Iterable[int]) -> bool:
        """Takes in that the epoch is another one, and who receives in it; False if that is old.

        Args:
            epoch: the new one.
            receivers: those that are alive.
        """
        if epoch <= self.epoch:
            return False
        self.epoch = epoch
        self._unconfirmed = {}
        self._from = None
        # It may have been said before we were told: the latest of each counts.
        self._waits_for = {r for r in receivers if self._fenced.get(r, (0, ()))[0] != epoch}
        if not self._waits_for:
            self._begin()
        return True

    def fenced(self, receiver: int, epoch: int, held: Unconfirmed) -> bool:
        """Takes in what a receiver holds unconfirmed; True if that was the last one missing."""
        if epoch < self._fenced.get(receiver, (0, ()))[0]:
            return False
        self._fenced[receiver] = (epoch, held)
        if epoch != self.epoch or receiver not in self._waits_for:
            return False
        self._waits_for.discard(receiver)
        if self._waits_for:
            return False
        self._begin()
        return True

    def lost(self, dead: Container[int]) -> None:
        """Forgets what these have said: they are dead, and what they held is with nobody."""
        for receiver in [ident for ident in self._fenced if ident in dead]:
            del self._fenced[receiver]

    def _begin(self) -> None:
        for epoch, held in self._fenced.values():
            if epoch == self.epoch:
                for runs, path in held:
                    for first, stop in runs:
                        self._hold(first, stop, path)
        self._fenced = {r: said for r, said in self._fenced.items() if said[0] > self.epoch}
        self._from = 0
        if self.next() is None:
            self._from = None

    def _hold(self, first: int, stop: int, path: Path) -> None:
        """Books what a receiver holds with the parcels that it is of, so that it is found there."""
        for entry in self.ledger.outstanding(first):
            if entry.first >= stop:
                return
            part = (max(first, entry.first), min(stop, entry.stop), path)
            self._unconfirmed.setdefault(entry.first, []).append(part)

    def next(self) -> Again | None:
        """The next part to send again; None, and the end of it, if there is none."""
        if self._waits_for or self._from is None:
            return None
        for entry in self.ledger.outstanding(self._from):
            for first, stop, done in self._pieces(entry):
                first = max(first, self._from)
                if first < stop and done is not DONE:
                    self._from = first  # what is done need not be looked at again
                    return Again(entry, first, stop, done)
        self._from = None
        self._unconfirmed = {}
        return None

    def sent(self, stop: int) -> None:
        """Books all numbers below `stop` as sent again."""
        assert self._from is not None and stop > self._from
        self._from = stop

    @property
    def items(self) -> int:
        """How many items are still to be sent again."""
        if self._from is None or self._waits_for:
            return 0
        return sum(
            max(0, stop - max(first, self._from))
            for entry in self.ledger.outstanding(self._from)
            for first, stop, done in self._pieces(entry)
            if done is not DONE
        )

    def _pieces(self, entry: Entry) -> Iterable[tuple[int, int, frozenset[Path]]]:
        """The items of a parcel, alike in what is settled or held of them."""
        held = self._unconfirmed.get(entry.first)
        if not held:
            return entry.settling or [(entry.first, entry.stop, NOTHING)]
        both = Settling(entry.first, entry.stop)
        for first, stop, paths in entry.settling or ():
            for path in paths:
                both.acknowledge(first, stop, path)
        for first, stop, path in held:
            both.acknowledge(first, stop, path)
        return both
