"""Putting what a functor gives into one or several streams."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from minipipe.codec import ATOMS
from minipipe.protocol.delivery.paths import complete, promised_mask, under
from minipipe.protocol.wiring import Carried
from minipipe.segments.functor import outputs_of
from minipipe.stream import Outlet
from minipipe.stream.arrived import Key
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.work_item import WorkItem


class Emitter:
    """Puts results, one at a time: with several downstreams, element i to downstream i.

    Args:
        one_for_one: whether a result is made of one item, the one that was taken up last.
    """

    def __init__(self, runner: FunctorRunner, *, one_for_one: bool = True) -> None:
        self._runner = runner
        self._one_for_one = one_for_one
        self._outlets = runner.outlets
        self._forks = len(runner.outlets) > 1
        self._hole_groups = runner.node.wiring.tombstone_groups
        self._inlet = next(iter(runner.node.inlets.values()), None)
        self._count = 0  # results so far: what the elements of one have in common

    def put(self, result: Any, began_s: float, taken: WorkItem | None) -> bool:
        """Sends a result under numbers of this worker's own; False if there was nothing to send.

        Raises:
            Broken: it does not fit the downstreams, or cannot be sent.
        """
        elements, snapshots = self._snapshots(self._split(result, taken), taken)
        for i in self._with_holes(elements):
            outlet = self._outlets[i]
            if not outlet.ready:
                self._runner.wait_for_room(outlet)
            self._add(outlet, elements[i], snapshots.pop(i, None), taken)
            outlet.added(began_s, time.monotonic(), 1)
        self._count += 1
        return any(element is not None for element in elements)

    def relay(self, result: Any, began_s: float, taken: WorkItem) -> tuple[bool, bool]:
        """Passes a result on under the identity of the item that it was made of.

        Returns whether there was anything in it, and whether anything, if only a tombstone, was
        sent or needed not be sent again.
        """
        parcel = taken.parcel
        elements, snapshots = self._snapshots(self._split(result, taken), taken)
        mask = self._with_holes(elements)
        if self._forks and parcel.done:
            # The choice that an earlier attempt made stays, since parts of it may have arrived.
            mask = promised_mask(parcel.path, parcel.done) or mask
        for i in mask:
            outlet = self._outlets[i]
            path, done = parcel.path, parcel.done
            if self._forks:
                path = (*path, (i, mask))
                if done and complete(path, done):
                    continue
                if elements[i] is None and not self._may_be_hole(i):
                    assert self._inlet is not None
                    feedback = self._runner.node.feedback
                    feedback.drop_at(self._inlet, taken.number, parcel, path)
                    continue
                done = under(path, done)
            outlet.relay(parcel.origin, parcel.epoch, path, done)
            if not outlet.ready:
                self._runner.wait_for_room(outlet)
                if self._is_stale():
                    break
            self._add(outlet, elements[i], snapshots.pop(i, None), taken)
            outlet.numbers.append(taken.number)
            outlet.added(began_s, time.monotonic(), 1)
        for i, (token, _) in snapshots.items():  # it was done before, or is for nobody any more
            self._outlets[i].discard(token)
        return any(element is not None for element in elements), bool(mask)

    def flush(self) -> None:
        """Sends what waits for others to share its parcel."""
        for outlet in self._outlets:
            outlet.flush()

    def _is_stale(self) -> bool:
        """Whether what is made now is for nobody any more: a worker has died."""
        turn = self._inlet.turn if self._inlet is not None else None
        return turn is not None and turn.stale

    def _may_be_hole(self, output: int) -> bool:
        return any(output in group for group in self._hole_groups)

    def _with_holes(self, elements: Sequence[Any]) -> tuple[int, ...]:
        """The outputs that something goes to: an element, or, for a join to know, a tombstone."""
        sent = {i for i, element in enumerate(elements) if element is not None}
        for group in self._hole_groups:
            if not sent.intersection(group):
                sent.add(group[0])
        return tuple(sorted(sent))

    def _split(self, result: Any, taken: WorkItem | None) -> tuple[Any, ...]:
        if not self._forks:
            return (result,) if self._outlets else ()
        try:
            return outputs_of(result, len(self._outlets), self._runner.where)
        except ValueError as error:
            raise self._runner.broken_at(error, taken) from error

    def _snapshots(
        self, elements: tuple[Any, ...], taken: WorkItem | None
    ) -> tuple[tuple[Any, ...], dict[int, tuple[object, int]]]:
        """The elements, and a snapshot of each that needs one: all of them, before any is sent.

        If one cannot be sent, and that is to be ignored, there is nothing to send.
        """
        made: dict[int, tuple[object, int]] = {}
        try:
            for i, element in enumerate(elements):
                if type(element) not in ATOMS:
                    made[i] = self._outlets[i].snapshot(element)
        except Exception as error:  # pickling runs code of the user's classes
            for i, (token, _) in made.items():
                self._outlets[i].discard(token)
            runner = self._runner
            if taken is None:
                runner.not_sent(error, None, None, runner.node.ident)
            else:
                parcel = taken.parcel
                kept = parcel if self._one_for_one else None
                runner.skipping.parts = taken.parts
                runner.not_sent(error, taken.number, taken.shown, parcel.origin, kept)
            return (None,) * len(elements), {}
        return elements, made

    def _add(
        self,
        outlet: Outlet,
        element: Any,
        snapshot: tuple[object, int] | None,
        taken: WorkItem | None,
    ) -> None:
        outlet.put(*((element, 0) if snapshot is None else snapshot))
        outlet.tombstones_waiting += element is None
        for carried in outlet.spec.carried:
            outlet.keys[carried.join].append(self._key(carried, taken))

    def _key(self, carried: Carried, taken: WorkItem | None) -> Key:
        """What the item will meet its other parts by, at this join."""
        if taken is not None:
            known = taken.key(carried)
            if known is not None:
                return known
        return (self._runner.node.ident, self._count)  # here is where the parts part
