"""Bundles inline: items that are dealt out together, and the segments that take them so.

The same as in processes (`protocol.delivery.bundles`): a sender's outlet holds items back until
their bundle is full, or until there are no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from minipipe.errors import ItemTypeError
from minipipe.graph import GraphSegment
from minipipe.inline.connections import Connection, Delivery, Identity, Outlet, RoundRobin
from minipipe.inline.joins import Item, Join
from minipipe.inline.kinds import OperatorStage
from minipipe.inline.skipping import Held
from minipipe.operators.batching import Samples
from minipipe.operators.steppers import SKIPPED
from minipipe.operators.work_item import Key, WorkItem
from minipipe.protocol.delivery.bundles import Bundling
from minipipe.protocol.delivery.numbering import first_of
from minipipe.protocol.wiring import OutletSpec, Wiring
from minipipe.regulators.errors import CollateError
from minipipe.segments.segment import Segment


class Bundle(NamedTuple):
    """What is delivered as one, in the place of an item."""

    members: Sequence[Item]


class BundlingOutlet(Outlet):
    """One segment's end of a stream whose items go in bundles."""

    def __init__(
        self,
        spec: OutletSpec,
        bundling: Bundling,
        connections: Sequence[Connection],
        turns: RoundRobin,
    ) -> None:
        super().__init__(spec, connections, turns)
        self._bundling = bundling
        self._bundles = 0  # that a sender has dealt out
        self._count = 0  # of the items that wait
        self._waiting: dict[int, list[Item]] = {}  # by connection

    def begin_pass(self, pass_: int) -> None:
        super().begin_pass(pass_)
        self._bundles, self._count, self._waiting = first_of(pass_), 0, {}

    def _chosen(self) -> list[int]:
        return list(self._waiting) if self._count else super()._chosen()

    def put(
        self,
        copies: Sequence[tuple[int, Any]],
        number: int,
        identity: Identity,
        keys: Mapping[int, Key],
    ) -> Iterable[Delivery]:
        """The deliveries of a bundle, if it is full with these copies; of a sender."""
        self.hold(copies, number, identity, keys)
        return self._dealt_out() if self._count == self._bundling.size else ()

    def hold(
        self,
        copies: Sequence[tuple[int, Any]],
        number: int,
        identity: Identity,
        keys: Mapping[int, Key],
    ) -> None:
        """Copies of an item wait for the others of its bundle."""
        self._count += 1
        for delivery in super().put(copies, number, identity, keys):
            place = self.connections.index(delivery.connection)
            self._waiting.setdefault(place, []).append(delivery.item)

    def deliver(self, number: int, identity: Identity) -> Iterable[Delivery]:
        """The deliveries of what waits, as the bundle of this number."""
        waiting, self._waiting, self._count = self._waiting, {}, 0
        return [
            Delivery(self.connections[place], WorkItem((Bundle(members),), number, identity))
            for place, members in waiting.items()
        ]

    def _dealt_out(self) -> Iterable[Delivery]:
        number, self._bundles = self._bundles, self._bundles + 1
        return self.deliver(number, next(iter(self._waiting.values()))[0].parcel)

    def end(self) -> tuple[Iterable[Delivery], int]:
        if not self._count:
            return (), 0
        if not self._bundling.drops_last:
            return self._dealt_out(), 0
        left_out, self._count, self._waiting = self._count, 0, {}
        return (), left_out


class BundleStage(OperatorStage):
    """A Transform that takes bundles: it passes on bundles, or makes batches."""

    def __init__(
        self,
        segment: GraphSegment,
        declared: Segment,
        wiring: Wiring,
        ignored: tuple[type[BaseException], ...],
        join: Join | None,
    ) -> None:
        super().__init__(segment, declared, wiring, ignored, join)
        self._samples = None if segment.batching is None else Samples(segment.batching)

    def take(self, inlet: int, item: Item) -> Iterator[Delivery]:
        members = item.arguments[0].members
        if self._samples is None:
            yield from self._relayed(item, members)
        else:
            yield from self._batched(item, members, self._samples)

    def leave(self) -> None:
        super().leave()
        if self._samples is not None:
            self._samples.clear()

    def _given(self, members: Sequence[Item]) -> Iterator[tuple[Item, Any]]:
        """What the functor gives for each item that it is not skipped, or dropped, for."""
        assert self._stepper is not None
        for member in members:
            taken = self.gather(0, member)
            if taken is None:
                continue
            result = self._stepper.first(taken)
            if result is None or result is SKIPPED:
                self.dropped += 1
            else:
                yield taken, result

    def _relayed(self, bundle: Item, members: Sequence[Item]) -> Iterable[Delivery]:
        outlet = self.outlets[0]
        assert isinstance(outlet, BundlingOutlet)
        for taken, result in self._given(members):
            try:
                copies = outlet.copies(result)
            except ItemTypeError as error:
                if not self.skips(error, taken):
                    raise
                self.dropped += 1
                continue
            outlet.hold(copies, taken.number, taken.parcel, {})
            self.items_out += 1
        return outlet.deliver(bundle.number, bundle.parcel)

    def _batched(
        self, bundle: Item, members: Sequence[Item], samples: Samples
    ) -> Iterable[Delivery]:
        inside: list[tuple[Item, Held]] = []
        for taken, result in self._given(members):
            try:
                samples.add(result)
            except CollateError as error:
                if not self.skips(error, taken):
                    raise
                self.dropped += 1
            else:
                inside.append((taken, self.skipping.held))
        if not inside:
            return ()
        self.as_worker()
        try:
            if samples.runs_user_code:
                self.randomness.begin_more()
            batch = samples.batch()
        except BaseException as error:
            self._failed(error, inside)
            return ()
        if batch is None:
            self.dropped += len(inside)
            return ()
        try:
            copies = self.outlets[0].copies(batch)
        except ItemTypeError as error:
            self._failed(error, inside)
            return ()
        first = inside[0][0]
        taken = WorkItem((), bundle.number, first.parcel)
        return self.sent((batch,), [copies], taken)

    def _failed(self, error: BaseException, inside: Sequence[tuple[Item, Held]]) -> None:
        """None of the items is in a batch: each of them has failed.

        Raises:
            BaseException: the error, if it is not to be skipped.
        """
        for taken, held in inside:
            self.skipping.held = held
            if not self.skips(error, taken):
                raise self.told(error)
            self.dropped += 1
