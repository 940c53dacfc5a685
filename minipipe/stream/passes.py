"""What a worker does when a pass over the data ends: rules 27 and 28 of the delivery protocol.

A worker that keeps state is in one pass at a time.  It goes on to the next by itself when it has
come to the end of one, or when the supervisor says that one is left early.  A stateless worker is
in none: each item says by its number which pass it is of.
"""

from __future__ import annotations

from minipipe.stream import records
from minipipe.stream.closes import Closes
from minipipe.stream.ends import Ends
from minipipe.stream.fences import Fences
from minipipe.stream.orders import Orders


class Passes:
    """A worker's part in the end of each pass."""

    def __init__(self, ends: Ends, orders: Orders, fences: Fences, closes: Closes) -> None:
        self._ends = ends
        self._orders = orders
        self._fences = fences
        self._closes = closes
        inlets = ends.inlets.values()
        self._is_stateless = any(inlet.is_stateless for inlet in inlets)

    def begin(self, pass_: int) -> None:
        """This worker is in this pass from now on."""
        self._orders.pass_ = pass_
        if not self._is_stateless:
            self._ends.begin_pass(pass_)
            self._closes.look_again()

    def on_abandon(self, supervisor: int, abandon: records.Abandon) -> None:
        """A pass is left early.

        First this worker is in the next pass, then in the epochs of that.  So what it had sent
        before is for nobody, and it sends nothing before all receivers are in the next pass.
        """
        self.begin(abandon.pass_)
        self._orders.left = not self._is_stateless
        for region, epoch, receivers in abandon.regions:
            about = (abandon.dead, receivers, abandon.crash_suspects)
            self._fences.on_fence(records.Fence(region, epoch, *about))
