"""Where a segment's next item comes from, if several streams are joined."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence

from minipipe.errors import TwicePairedError
from minipipe.operators.joins import ByKey, InStep, lost_parts
from minipipe.operators.work_item import WorkItem
from minipipe.protocol.wiring import Carried
from minipipe.stream import Inlet, records
from minipipe.stream.arrived import Arrived
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.inputs import Reader, keys_at
from minipipe.worker.skipping import broken

PATIENCE_S = 0.1  # a join that waits this long beside a full stream asks whether that is why
MANY_ITEMS, MANY_BYTES = 100_000, 1 << 30  # a stream on which so much waits is worth a warning


class ZipJoin:
    """One item of each of several streams that have nothing to do with each other."""

    def __init__(self, runner: FunctorRunner, strict: bool) -> None:
        self._runner = runner
        self._strict = strict
        self._readers = [Reader(runner, inlet) for inlet in runner.node.inlets.values()]
        self._in_step: InStep[Arrived] = InStep(runner.where, self._readers)
        self._waited_since_s = 0.0
        self._carries_tombstones = runner.node.wiring.carries_tombstones
        for reader in self._readers:
            reader.inlet.followed = False  # the number on the status page is one of several

    def take(self) -> WorkItem[Arrived] | None:
        readers, node = self._readers, self._runner.node
        if self._carries_tombstones:
            for reader in readers:
                reader.drop_tombstones()
        if not self._in_step.ready:
            self._waited_since_s = time.monotonic()
            self._runner.wait_for_input(
                lambda: node.orders.leaving or self._decided or self._relieve(), PATIENCE_S
            )
        if not self._in_step.ready:
            self._end()
            return None
        return self._in_step.take()

    def done(self) -> None:
        for reader in self._readers:
            reader.done()

    @property
    def _decided(self) -> bool:
        """Whether all have an item, or one has ended."""
        if self._carries_tombstones:
            for reader in self._readers:
                reader.drop_tombstones()
        return self._in_step.decided

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
        """One stream has ended: what the others still have or get is left over."""
        runner, node, in_step = self._runner, self._runner.node, self._in_step
        # A drain is told to joins before Sources hear of it, and by another way than items come:
        # what these send then may be read first, and what is left over is no mistake.
        node.serve_orders()
        for reader in self._readers:
            if reader.from_loop:
                reader.discard()
        others = in_step.others
        if self._strict and not node.orders.draining:
            if not node.orders.leaving:
                runner.wait_for_input(
                    lambda: any(r.ready for r in others) or all(r.ended for r in others)
                )
            if (error := in_step.unpaired) is not None:
                raise broken(error, None, None, node.ident)
            return
        in_step.discard()
        if others and not node.orders.draining:
            node.report(records.Ended())  # a source that feeds nobody else yields no more
        if not node.orders.leaving:
            runner.wait_for_input(lambda: all(r.ended for r in others))
        count, text = in_step.surplus
        if count:
            node.page.dropped += count
            node.report(records.Log(logging.WARNING, text))


class KeyedJoin:
    """The parts of one item, which went different ways."""

    def __init__(self, runner: FunctorRunner, pairs: Carried) -> None:
        self._runner = runner
        self._inlets: Sequence[Inlet] = list(runner.node.inlets.values())
        names = [inlet.spec.name for inlet in self._inlets]
        self._by_key: ByKey[Arrived] = ByKey(runner.where, names, pairs)
        self._whole: deque[WorkItem[Arrived]] = deque()
        for inlet in self._inlets:
            inlet.followed = False

    def take(self) -> WorkItem[Arrived] | None:
        inlets = self._inlets
        while not self._whole:
            for i, inlet in enumerate(inlets):
                while inlet.queue:
                    self._read(i, inlet)
            if self._whole:
                break
            if all(inlet.ended for inlet in inlets):
                if not self._runner.node.orders.leaving:
                    try:
                        self._by_key.check_end()
                    except TwicePairedError as error:
                        raise self._runner.broken_at(error, None) from error
                return None
            self._runner.wait_for_input(
                lambda: any(inlet.queue for inlet in inlets) or all(inlet.ended for inlet in inlets)
            )
        taken = self._whole.popleft()
        node = self._runner.node
        if taken.is_tombstone:
            node.page.dropped += lost_parts(taken)
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
            try:
                whole = self._by_key.add(i, part)
            except TwicePairedError as error:
                raise self._runner.broken_at(error, part) from error
            if whole is not None:
                self._whole.append(whole)
        turn.reached(parcel.count)
        inlet.pace.observe(parcel.count, time.monotonic() - began_s)
        inlet.end()
