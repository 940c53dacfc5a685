"""What an inlet that takes items in order holds of each sender, until it is their turn.

Rule 21 of the delivery protocol (ARCHITECTURE.md); whose turn it is, is decided in
`protocol.delivery.order`.
"""

from __future__ import annotations

from collections.abc import Iterator

from minipipe.protocol.delivery.numbering import first_of
from minipipe.protocol.delivery.order import Order
from minipipe.protocol.delivery.paths import outputs
from minipipe.stream.arrived import Arrived


class InOrder:
    """The parcels of one inlet whose turn it is not, by sender."""

    def __init__(self) -> None:
        self._orders: dict[int, Order[Arrived]] = {}
        self._first = 0  # number of this pass

    def add(self, parcel: Arrived) -> None:
        """Holds a parcel."""
        parcel.left = parcel.count
        self._of(parcel.origin).add(parcel.runs, outputs(parcel.path), parcel)

    def marked(self, sender: int, mark: int) -> None:
        """All that this sender has sent below this number is settled."""
        self._of(sender).marked(mark)

    def due(self, sender: int, *, is_gapless: bool) -> Iterator[Arrived]:
        """What it is the turn of now, of this sender's."""
        order = self._of(sender)
        order.gapless = is_gapless
        while (piece := order.pop()) is not None:
            yield piece.parcel.piece(piece.position, piece.first, piece.items)

    def lowest(self, sender: int) -> int:
        """The lowest number of this sender that is held here, or may still come."""
        order = self._of(sender)
        return order.mark if order.lowest is None else min(order.lowest, order.mark)

    def begin_pass(self, pass_: int) -> list[Arrived]:
        """What comes from now on is of this pass; what was held still."""
        left = [
            piece.parcel.piece(piece.position, piece.first, piece.items)
            for order in self._orders.values()
            for piece in order.withdraw()
        ]
        self._orders.clear()
        self._first = first_of(pass_)
        return left

    def _of(self, sender: int) -> Order[Arrived]:
        order = self._orders.get(sender)
        if order is None:
            order = self._orders[sender] = Order(gapless=False)
            order.marked(self._first)
        return order
