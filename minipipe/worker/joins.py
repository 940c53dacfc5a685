"""Where a segment's next item comes from, if several streams are joined."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import cast

from minipipe.errors import TwicePairedError, UnpairedError
from minipipe.protocol.delivery.pairing import Pairing
from minipipe.protocol.wiring import Carried
from minipipe.stream import Inlet, records
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.inputs import Reader, keys_at
from minipipe.worker.skipping import broken
from minipipe.worker.work_item import NO_KEYS, WorkItem

PATIENCE_S = 0.1  # a join that waits this long beside a full stream asks whether that is why
MANY_ITEMS, MANY_BYTES = 100_000, 1 << 30  # a stream on which so much waits is worth a warning
_MEND = " (strict=False makes this a warning)"


class ZipJoin:
    """One item of each of several streams that have nothing to do with each other."""

    def __init__(self, runner: FunctorRunner, strict: bool) -> None:
        self._runner = runner
        self._strict = strict
        self._readers = [Reader(runner, inlet) for inlet in runner.node.inlets.values()]
        self._waited_since_s = 0.0
        self._carries_tombstones = runner.node.wiring.carries_tombstones
        for reader in self._readers:
            reader.inlet.followed = False  # the number on the status page is one of several

    def take(self) -> WorkItem | None:
        readers, node = self._readers, self._runner.node
        if self._carries_tombstones:
            for reader in readers:
                reader.drop_holes()
        if not all(reader.ready for reader in readers):
            self._waited_since_s = time.monotonic()
            self._runner.wait_for_input(
                lambda: node.orders.leaving or self._decided or self._relieve(), PATIENCE_S
            )
        if not all(reader.ready for reader in readers):
            self._end()
            return None
        return together([reader.pop() for reader in readers])

    def done(self) -> None:
        for reader in self._readers:
            reader.done()

    @property
    def _decided(self) -> bool:
        """Whether all have an item, or one has ended."""
        if self._carries_tombstones:
            for reader in self._readers:
                reader.drop_holes()
        return all(r.ready for r in self._readers) or any(r.inlet.ended for r in self._readers)

    def _relieve(self) -> bool:
        """Lets more of a full stream wait if another one has nothing because of that.

        For streams that stem from one segment: it may be blocked by the full one, and could feed
        the empty one otherwise (artificial deadlock of bounded process networks: Parks 1995).
        Whether it is, those on the way say (`protocol.flow.chasing`); one that is just slow is
        waited for.
        """
        probes, now_s = self._runner.node.probes, time.monotonic()
        for reader in self._readers:
            inlet = reader.inlet
            if inlet.spec.stream in probes.full and reader.ready and inlet.holds_up:
                inlet.producers.relieve()
                self._warn(reader)
        probes.full.clear()
        if now_s - self._waited_since_s >= PATIENCE_S:
            self._waited_since_s = now_s
            full = [r for r in self._readers if r.inlet.spec.shares_origin and r.ready]
            if any(reader.inlet.holds_up for reader in full):
                probes.ask(reader.inlet for reader in self._readers if not reader.ready)
        return False

    def _warn(self, reader: Reader) -> None:
        """Says that much waits on a stream, as another one of the same origin brings little."""
        items, size_bytes = reader.waiting, reader.inlet.size_bytes
        if items >= MANY_ITEMS or size_bytes >= MANY_BYTES:
            others = " and ".join(repr(r.inlet.spec.name) for r in self._readers if not r.ready)
            text = (
                f"{self._runner.where}: {items} items ({size_bytes >> 20} MiB) wait on stream "
                f"{reader.inlet.spec.name!r}, since their common origin brings so few by {others}: "
                "what is joined in step should come equally often"
            )
            self._runner.node.report(records.Log(logging.WARNING, text))

    def _end(self) -> None:
        """One stream has ended: what the others still have or get is left over.

        What comes round in a loop is not: something always does when a loop comes to its end.
        """
        runner, node = self._runner, self._runner.node
        for reader in self._readers:
            if reader.inlet.spec.fed_by_loop:
                reader.inlet.discard()
        others = [r for r in self._readers if not (r.inlet.ended or r.inlet.spec.fed_by_loop)]
        if self._strict and not node.orders.draining:
            if not node.orders.leaving:
                runner.wait_for_input(
                    lambda: any(r.ready for r in others) or all(r.inlet.ended for r in others)
                )
            left = {r.inlet.spec.name: r.waiting for r in others if r.ready}
            if left:
                error = UnpairedError(runner.where, tuple(left.items()))
                raise broken(error, None, None, node.ident)
            return
        for reader in others:
            reader.inlet.discard()
        if others and not node.orders.draining:
            node.report(records.Ended())  # a source that feeds nobody else yields no more
        if not node.orders.leaving:
            runner.wait_for_input(lambda: all(r.inlet.ended for r in others))
        left = {r.inlet.spec.name: r.inlet.discarded for r in others if r.inlet.discarded}
        if left:
            node.page.dropped += sum(left.values())
            text = str(UnpairedError(runner.where, tuple(left.items())))
            node.report(records.Log(logging.WARNING, text.removesuffix(_MEND)))


class KeyedJoin:
    """The parts of one item, which went different ways."""

    def __init__(self, runner: FunctorRunner, pairs: Carried) -> None:
        self._runner = runner
        self._pairs = pairs
        self._inlets: Sequence[Inlet] = list(runner.node.inlets.values())
        self._pairing = Pairing(len(self._inlets))
        self._whole: deque[WorkItem] = deque()
        for inlet in self._inlets:
            inlet.followed = False

    def take(self) -> WorkItem | None:
        inlets = self._inlets
        while not self._whole:
            for i, inlet in enumerate(inlets):
                while inlet.queue:
                    self._read(i, inlet)
            if self._whole:
                break
            if all(inlet.ended for inlet in inlets):
                if self._pairing.held and not self._runner.node.orders.leaving:
                    # Each way brings one part of an item, if only a hole: one brought two.
                    names = " or ".join(inlet.spec.name for inlet in inlets)
                    raise self._runner.broken_at(TwicePairedError(self._runner.where, names), None)
                return None
            self._runner.wait_for_input(
                lambda: any(inlet.queue for inlet in inlets) or all(inlet.ended for inlet in inlets)
            )
        taken = self._whole.popleft()
        node = self._runner.node
        if taken.is_tombstone:
            node.page.dropped += sum(part is not None for part in taken.arguments)
        else:
            node.paired = (node.paired or 0) + 1
        return taken

    def done(self) -> None:
        """All that was taken was booked when it was read."""

    def _read(self, i: int, inlet: Inlet) -> None:
        """Takes in a parcel: a join reads what there is, so that no way blocks another."""
        began_s = time.monotonic()
        turn = self._runner.next_batch(inlet)
        parcel = turn.parcel
        for position, item in enumerate(turn.items):
            part = WorkItem((item,), turn.numbers[position], parcel, keys_at(parcel, position))
            key = part.key(self._pairs)
            assert key is not None, "what lost its identity carries a key"
            try:
                parts = self._pairing.add(i, key[0], key[1], key[2:], part)
            except ValueError as error:  # two outputs of a fork lead into one of its streams
                twice = TwicePairedError(self._runner.where, inlet.spec.name)
                raise self._runner.broken_at(twice, part) from error
            if parts is not None:
                self._whole.append(together(cast("Sequence[WorkItem]", parts)))
        turn.reached(parcel.count)
        inlet.pace.observe(parcel.count, time.monotonic() - began_s)
        inlet.end()


def together(parts: Sequence[WorkItem]) -> WorkItem:
    """Parts as one item, whose identity is that of the first."""
    first = parts[0]
    keys = {join: key for part in parts for join, key in part.keys.items()}
    arguments = tuple(argument for part in parts for argument in part.arguments)
    return WorkItem(arguments, first.number, first.parcel, keys or NO_KEYS, parts)
