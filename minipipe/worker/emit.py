"""Putting what a functor gives into one or several streams."""

from __future__ import annotations

import time
from typing import Any

from minipipe.codec import ATOMS
from minipipe.errors import OutputsError
from minipipe.errors.cause import because
from minipipe.operators.outputs import Outputs
from minipipe.operators.work_item import WorkItem
from minipipe.protocol.delivery.paths import complete, promised_mask, under
from minipipe.stream import Outlet, PassLeft
from minipipe.stream.arrived import Arrived
from minipipe.worker.functor_runner import FunctorRunner


class Emitter:
    """Puts results, one at a time: with several downstreams, element i to downstream i.

    Args:
        one_for_one: whether a result is made of one item, the one that was taken up last.
    """

    def __init__(self, runner: FunctorRunner, *, one_for_one: bool = True) -> None:
        self._runner = runner
        self._one_for_one = one_for_one
        self._outlets = runner.outlets
        node = runner.node
        self._results = Outputs(node.wiring, node.ident, runner.where)
        self._forks = self._results.forks
        self._inlet = next(iter(runner.node.inlets.values()), None)

    def put(self, result: Any, began_s: float, taken: WorkItem[Arrived] | None) -> bool:
        """Sends a result under numbers of this worker's own; False if there was nothing to send.

        Raises:
            Broken: it does not fit the downstreams, or cannot be sent.
        """
        elements, snapshots = self._snapshots(self._split(result, taken), taken)
        for i in self._results.filled(elements):
            outlet = self._outlets[i]
            if not outlet.ready:
                self._wait_for_room(outlet, snapshots)
            self._add(outlet, elements[i], snapshots.pop(i, None), taken)
            outlet.added(began_s, time.monotonic(), 1)
        self._results.results += 1
        return any(element is not None for element in elements)

    def forward(self, result: Any, began_s: float, taken: WorkItem[Arrived]) -> tuple[bool, bool]:
        """Passes a result on under the identity of the item that it was made of.

        Returns whether there was anything in it, and whether anything, if only a tombstone, was
        sent or needed not be sent again.
        """
        parcel = taken.parcel
        elements, snapshots = self._snapshots(self._split(result, taken), taken)
        mask = self._results.filled(elements)
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
                if elements[i] is None and not self._results.may_be_tombstone(i):
                    assert self._inlet is not None
                    feedback = self._runner.node.feedback
                    feedback.drop_at(self._inlet, taken.number, parcel, path)
                    continue
                done = under(path, done)
            if not self._runner.set_origin(outlet, parcel, path, done):
                break
            if not outlet.ready:
                self._runner.wait_for_room(outlet)
                if self._is_stale():
                    break
            self._add(outlet, elements[i], snapshots.pop(i, None), taken)
            outlet.added(began_s, time.monotonic(), 1)
        for i, (token, _) in snapshots.items():  # it was done before, or is for nobody any more
            self._outlets[i].discard(token)
        return any(element is not None for element in elements), bool(mask)

    def _wait_for_room(self, outlet: Outlet, snapshots: dict[int, tuple[object, int]]) -> None:
        """Waits; if the pass is left meanwhile, what was to be sent is for nobody."""
        try:
            self._runner.wait_for_room(outlet)
        except PassLeft:
            for i, (token, _) in snapshots.items():
                self._outlets[i].discard(token)
            raise

    def flush(self) -> None:
        """Sends what waits for others to share its parcel."""
        for outlet in self._outlets:
            outlet.flush()

    def _is_stale(self) -> bool:
        """Whether what is made now is for nobody any more: a worker has died."""
        turn = self._inlet.turn if self._inlet is not None else None
        return turn is not None and turn.stale

    def _split(self, result: Any, taken: WorkItem[Arrived] | None) -> tuple[Any, ...]:
        try:
            return self._results.split(result)
        except OutputsError as error:
            raise because(self._runner.broken_at(error, taken), error) from error

    def _snapshots(
        self, elements: tuple[Any, ...], taken: WorkItem[Arrived] | None
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
        taken: WorkItem[Arrived] | None,
    ) -> None:
        token, size = (element, 0) if snapshot is None else snapshot
        number = -1 if taken is None else taken.number
        keys = [self._results.key(carried, taken) for carried in outlet.spec.carried]
        outlet.append(token, size, number, keys)
