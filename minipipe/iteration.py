"""The caller's loop: the last segment's output, item by item, in the caller's own process."""

from __future__ import annotations

import time
from typing import Any

from minipipe.codec import Unreadable
from minipipe.pure.paths import Outputs, outputs
from minipipe.stream import Inlet, Node, StopRun, wire
from minipipe.stream.arrived import Arrived
from minipipe.stream.page import ITEM_WORD, OUTSIDE
from minipipe.worker.attendant import Attendant


class UndecodableError(Exception):
    """What arrived could not be made into items again; the cause says why.

    Args:
        origin: the worker that numbered the item.
        number: of the item, or of the first in its parcel.
        path: which outputs it went through.
        feeders: the names of the segments that it came from.
    """

    def __init__(self, origin: int, number: int, path: Outputs, feeders: str) -> None:
        super().__init__(origin, number, path, feeders)
        self.path = path
        self.origin = origin
        self.number = number
        self.feeders = feeders


class Output:
    """Reads the open end of a run.  One reader; the attendant serves between its items."""

    def __init__(self, node: Node, attendant: Attendant) -> None:
        self._node = node
        self._attendant = attendant
        self._inlet: Inlet = next(iter(node.inlets.values()))
        self._position = 0  # in the parcel in work
        self._handed_s = 0.0
        self._attended = -1
        self.exhausted = False

    def take(self) -> Any:
        """The next item.

        Raises:
            StopIteration: there are no more.
            StopRun: the run ended before its stream did.
            UndecodableError: an item's class did not accept what it had given.
        """
        if self.exhausted:
            raise StopIteration
        node = self._node
        words = node.page.words
        away = OUTSIDE
        try:
            words[ITEM_WORD] = 0  # here: the attendant keeps out
            if node.attended != self._attended:
                self._attended = node.rejoin()
            if self._attendant.failure is not None:
                raise self._attendant.failure
            if node.stopped is not None:
                raise StopRun
            item, away = self._next(node, self._inlet)
            return item
        finally:
            words[ITEM_WORD] = away
            self._handed_s = time.monotonic()
            if not self._attendant.armed:
                self._attendant.arm()

    def _next(self, node: Node, inlet: Inlet) -> tuple[Any, int]:
        now_s = time.monotonic()
        turn = inlet.turn
        if turn is not None:
            turn.reached(self._position)
            inlet.pace.observe(1, now_s - self._handed_s)
            if self._position == turn.parcel.count:
                inlet.end()
                turn = None
        node.tend(now_s)
        if turn is None:
            if not inlet.queue:
                node.block(lambda: bool(inlet.queue) or inlet.ended)
                if not inlet.queue:
                    self.exhausted = True
                    node.publish()
                    node.report(wire.DONE)
                    raise StopIteration
            parcel = inlet.queue[0]
            try:
                items = node.decode(parcel, inlet.access)
            except Exception as error:  # unpickling runs code of the user's classes
                raise _undecodable(parcel, parcel.runs[0][0], inlet) from error
            self._position = 0
            turn = inlet.begin(items)
        position = self._position
        item, turn.items[position] = turn.items[position], None  # it belongs to the loop now
        self._position = position + 1
        turn.at(turn.numbers[position])
        if type(item) is Unreadable:
            raise _undecodable(turn.parcel, turn.numbers[position], inlet) from item.error
        return item, turn.numbers[position] + 1


def _undecodable(parcel: Arrived, number: int, inlet: Inlet) -> UndecodableError:
    return UndecodableError(parcel.origin, number, outputs(parcel.path), inlet.spec.feeders)
