"""Where a segment's next item comes from: one stream, or several that are joined."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from minipipe.errors import TwicePairedError, UnpairedError
from minipipe.pure.pairing import Pairing
from minipipe.pure.paths import outputs
from minipipe.stream import Inlet, Role, wire
from minipipe.stream.inlet import Arrived
from minipipe.worker.body import Body

PATIENCE_S = 0.1  # a join that waits this long beside a full stream lets more of that one wait
MAX_STRETCH = 2**20


@dataclass(slots=True)
class Taken:
    """An item for the functor: of each upstream one; and whose identity it has."""

    arguments: tuple[Any, ...]
    number: int
    parcel: Arrived  # of the first of them


class Feed(Protocol):
    """Gives a segment's items one by one."""

    def take(self) -> Taken | None:
        """The next item; None at the end of the input."""

    def done(self) -> None:
        """The item last taken is worked off."""


class Reader:
    """Reads one stream, item by item."""

    def __init__(self, body: Body, inlet: Inlet) -> None:
        self.inlet = inlet
        self._body = body
        self._position = 0
        self._began_s = 0.0

    @property
    def ready(self) -> bool:
        """Whether an item is there."""
        return self.inlet.turn is not None or bool(self.inlet.queue)

    @property
    def waiting(self) -> int:
        """How many items have arrived and were not taken out."""
        return self.inlet.queued_items - (self._position if self.inlet.turn is not None else 0)

    def pop(self) -> tuple[Any, int, Arrived]:
        """Takes an item out: value, number, and the parcel that it came in."""
        inlet = self.inlet
        turn = inlet.turn
        self._began_s = time.monotonic()
        if turn is None:
            turn = inlet.begin(self._body.unpack(inlet.queue[0], inlet.spec.feeders))
            self._position = 0
        position = self._position
        item, turn.items[position] = turn.items[position], None  # the functor's alone from now on
        self._position = position + 1
        return item, turn.numbers[position], turn.parcel

    def done(self) -> None:
        """The item last taken is worked off."""
        inlet, turn = self.inlet, self.inlet.turn
        if turn is None:
            return  # the segment has ended meanwhile, and dropped the rest
        turn.reached(self._position)
        inlet.pace.observe(1, time.monotonic() - self._began_s)
        if self._position == turn.parcel.count:
            self._body.node.report_turn(inlet)
            inlet.end()


class Single:
    """The items of one stream."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._inlet: Inlet = next(iter(body.node.inlets.values()))
        self._reader = Reader(body, self._inlet)
        self._relays = self._inlet.spec.role is Role.RELAY

    def take(self) -> Taken | None:
        node, inlet, reader = self._body.node, self._inlet, self._reader
        if not reader.ready:
            ends_by_itself = not self._relays  # a relay leaves when it is told to
            self._body.wait_for_input(
                lambda: reader.ready or node.leaving or (ends_by_itself and inlet.ended)
            )
            if not reader.ready:
                return None
        item, number, parcel = reader.pop()
        return Taken((item,), number, parcel)

    def done(self) -> None:
        self._reader.done()


class InStep:
    """One item of each of several streams that have nothing to do with each other."""

    def __init__(self, body: Body, strict: bool) -> None:
        self._body = body
        self._strict = strict
        self._readers = [Reader(body, inlet) for inlet in body.node.inlets.values()]
        self._waited_since_s = 0.0
        for reader in self._readers:
            reader.inlet.followed = False  # the number on the status page is one of several

    def take(self) -> Taken | None:
        readers, node = self._readers, self._body.node
        if not all(reader.ready for reader in readers):
            self._waited_since_s = time.monotonic()
            self._body.wait_for_input(
                lambda: node.leaving or self._decided or self._relieve(), PATIENCE_S
            )
        if not all(reader.ready for reader in readers):
            self._end()
            return None
        parts = [reader.pop() for reader in readers]
        _, number, parcel = parts[0]
        return Taken(tuple(part[0] for part in parts), number, parcel)

    def done(self) -> None:
        for reader in self._readers:
            reader.done()

    @property
    def _decided(self) -> bool:
        """Whether all have an item, or one has ended."""
        return all(r.ready for r in self._readers) or any(r.inlet.ended for r in self._readers)

    def _relieve(self) -> bool:
        """Lets more of a full stream wait while another one has nothing.

        Both may come from one producer, which is blocked by the full one and could feed the
        empty one otherwise (artificial deadlock of bounded process networks: Parks 1995).
        """
        now_s = time.monotonic()
        if now_s - self._waited_since_s >= PATIENCE_S:
            self._waited_since_s = now_s
            for reader in self._readers:
                pace = reader.inlet.pace
                if reader.inlet.queued_items >= pace.window and pace.stretch < MAX_STRETCH:
                    pace.stretch *= 2
        return False

    def _end(self) -> None:
        """One stream has ended: what the others still have or get is left over.

        What comes round in a loop is not: something always does when a loop comes to its end.
        """
        body, node = self._body, self._body.node
        for reader in self._readers:
            if reader.inlet.spec.fed_by_loop:
                reader.inlet.discard()
        others = [r for r in self._readers if not (r.inlet.ended or r.inlet.spec.fed_by_loop)]
        if self._strict:
            if not node.leaving:
                body.wait_for_input(
                    lambda: any(r.ready for r in others) or all(r.inlet.ended for r in others)
                )
            left = {r.inlet.spec.name: r.waiting for r in others if r.ready}
            if left:
                error = UnpairedError(body.where, tuple(left.items()))
                raise body.broken(error, None, None, node.ident)
            return
        for reader in others:
            reader.inlet.discard()
        if others:
            node.report(wire.ENDED)  # a source that feeds nobody else yields no more
        if not node.leaving:
            body.wait_for_input(lambda: all(r.inlet.ended for r in others))
        left = {r.inlet.spec.name: r.inlet.discarded for r in others if r.inlet.discarded}
        if left:
            node.page.dropped += sum(left.values())
            text = str(UnpairedError(body.where, tuple(left.items())))
            node.report(wire.LOG, logging.WARNING, text.removesuffix(_MEND))


_MEND = " (strict=False makes this a warning)"


class ByIdentity:
    """The parts of one item, which went different ways.

    A part whose partner was dropped on the way is let go as soon as the sender says that the
    item is settled (MARK); what is still held is told to the sender (AT), which does not run too
    far ahead of it.
    """

    def __init__(self, body: Body, depth: int) -> None:
        self._body = body
        self._depth = depth
        self._inlets: Sequence[Inlet] = list(body.node.inlets.values())
        self._pairing = Pairing(len(self._inlets))
        self._whole: deque[Taken] = deque()
        self._told: dict[int, int] = {}
        self._parcels: dict[int, Arrived] = {}
        for inlet in self._inlets:
            inlet.followed = False

    def take(self) -> Taken | None:
        node = self._body.node
        while not self._whole:
            self._pull()
            if self._whole:
                break
            if all(inlet.ended for inlet in self._inlets):
                node.page.dropped += self._pairing.held
                return None
            self._body.wait_for_input(
                lambda: (
                    bool(node.marks)
                    or any(inlet.queue for inlet in self._inlets)
                    or all(inlet.ended for inlet in self._inlets)
                )
            )
        return self._whole.popleft()

    def done(self) -> None:
        """All that was taken was booked when it was read."""

    def _pull(self) -> None:
        """Takes in everything that has arrived."""
        node = self._body.node
        # Before the items: of those that a mark is about, all that will ever come are here.
        marks, node.marks = node.marks, {}
        for i, inlet in enumerate(self._inlets):
            while inlet.queue:
                self._read(i, inlet)
        for origin, mark in marks.items():
            node.page.dropped += self._pairing.mark(origin, mark)
        region = self._inlets[0].spec.region
        for origin in {*marks, *self._told}:
            lowest = self._pairing.at(origin)
            if lowest > self._told.get(origin, 0):
                self._told[origin] = lowest
                node.tell(origin, (wire.AT, region, lowest))

    def _read(self, i: int, inlet: Inlet) -> None:
        parcel = inlet.queue[0]
        began_s = time.monotonic()
        turn = inlet.begin(self._body.unpack(parcel, inlet.spec.feeders))
        prefix = outputs(parcel.path)[: self._depth]
        for number, item in zip(turn.numbers, turn.items, strict=True):
            try:
                whole = self._pairing.add(i, parcel.origin, number, prefix, item)
            except ValueError as error:  # two outputs of a fork lead into one of its streams
                twice = TwicePairedError(self._body.where, inlet.spec.name)
                raise self._body.broken(twice, number, item, parcel.origin) from error
            if whole is not None:
                self._whole.append(Taken(whole, number, parcel))
                self._body.node.paired = (self._body.node.paired or 0) + 1
        turn.reached(parcel.count)
        inlet.pace.observe(parcel.count, time.monotonic() - began_s)
        inlet.end()
