"""The producing end of a stream whose items go in bundles (`protocol.delivery.bundles`)."""

from __future__ import annotations

from minipipe.protocol.delivery.bundles import bundles_of, cut
from minipipe.protocol.delivery.intervals import Interval, runs_of
from minipipe.protocol.delivery.numbering import first_in_bundle
from minipipe.stream.outlet import Outlet


class BundlingOutlet(Outlet):
    """An outlet that a bundle leaves as a whole, or not at all.

    A sender adds its items one by one: those of a bundle that is not full wait until it is, or
    until there are no more (`end`), and `room` is in items.  A stateless worker adds what it has
    made of a bundle all at once, by the numbers of the items, and `room` is in bundles, as credit
    is.
    """

    _ended = False

    @property
    def _size(self) -> int:
        bundling = self.spec.bundling
        assert bundling is not None
        return bundling.size

    @property
    def next_number(self) -> int:
        if self.ledger is None:
            return -1
        return first_in_bundle(self.ledger.next_number, self._size) + len(self._pending.tokens)

    @property
    def has_unsent(self) -> bool:
        return bool(self._whole)

    @property
    def _whole(self) -> int:
        count = len(self._pending.tokens)
        return count if self._ended or self.ledger is None else count - count % self._size

    @property
    def _begun(self) -> int:
        """How many items wait, of a sender, for their bundle to become full."""
        return len(self._pending.tokens) % self._size

    def _items_for(self, room: int) -> int:
        return room if self.ledger is None else room * self._size - self._begun

    def _fitting(self, count: int) -> int:
        if self.ledger is None:
            return cut(self._pending.item_numbers(count), self._size, self.room)
        return min(count, self.room + self._begun)

    def _numbered(self, count: int) -> tuple[list[Interval], list[Interval]]:
        if self.ledger is None:
            members = runs_of(self._pending.item_numbers(count))
            return bundles_of(members, self._size), members
        first, bundles = self.ledger.next_number, -(-count // self._size)
        begin = first_in_bundle(first, self._size)
        return [(first, first + bundles)], [(begin, begin + count)]

    def begin_pass(self) -> None:
        self._ended = False
        super().begin_pass()

    def end(self) -> int:
        bundling = self.spec.bundling
        assert bundling is not None
        left_out = self._begun if bundling.drops_last else 0
        for token in self._pending.drop_newest(left_out):
            self.discard(token)
        self._ended = True
        return left_out
