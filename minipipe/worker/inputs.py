"""Where a segment's next item comes from: one stream (several that are joined: `joins`)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from minipipe.operators.work_item import NO_KEYS, Key, WorkItem
from minipipe.stream import Inlet
from minipipe.stream.arrived import Arrived
from minipipe.worker.functor_runner import FunctorRunner


class Input(Protocol):
    """Gives a segment's items one by one."""

    def take(self) -> WorkItem[Arrived] | None:
        """The next item; None at the end of the input."""

    def done(self) -> None:
        """The item last taken is worked off."""


class Reader:
    """Reads one stream, item by item."""

    def __init__(self, runner: FunctorRunner, inlet: Inlet) -> None:
        self.inlet = inlet
        self._runner = runner
        self._position = 0
        self._began_s = 0.0

    @property
    def ready(self) -> bool:
        """Whether an item is there."""
        return self.inlet.turn is not None or self.inlet.ready

    @property
    def stream(self) -> str:
        """Its name."""
        return self.inlet.spec.name

    @property
    def from_loop(self) -> bool:
        """Whether the loop feeds it that this worker is in."""
        return self.inlet.spec.fed_by_loop

    @property
    def ended(self) -> bool:
        """Whether nothing is there, and nothing comes any more."""
        return self.inlet.ended

    @property
    def discarded(self) -> int:
        """How many items were dropped, since they have no partner."""
        return self.inlet.discarded

    def discard(self) -> None:
        """From now on, whatever is there and whatever comes is dropped."""
        self.inlet.discard()

    @property
    def waiting(self) -> int:
        """How many items have arrived and were not taken out."""
        return self.inlet.queued_items - (self._position if self.inlet.turn is not None else 0)

    def drop_tombstones(self) -> None:
        """Passes over what stands for something dropped before: here nobody waits for it."""
        while self.ready and self._peek() is None:
            self.pop()
            self.done()
            self.inlet.tombstones += 1

    def _peek(self) -> Any:
        inlet, turn = self.inlet, self.inlet.turn
        if turn is None:
            turn = self._runner.next_batch(inlet)
            self._position = 0
        return turn.items[self._position]

    def pop(self) -> WorkItem[Arrived]:
        """Takes an item out."""
        inlet = self.inlet
        turn = inlet.turn
        self._began_s = time.monotonic()
        if turn is None:
            turn = self._runner.next_batch(inlet)
            self._position = 0
        position = self._position
        item, turn.items[position] = turn.items[position], None  # the functor's alone from now on
        self._position = position + 1
        return WorkItem(
            (item,), turn.numbers[position], turn.parcel, keys_at(turn.parcel, position)
        )

    def done(self) -> None:
        """The item last taken is worked off."""
        inlet, turn = self.inlet, self.inlet.turn
        if turn is None:
            return  # the segment has ended meanwhile, and dropped the rest
        turn.reached(self._position)
        if turn.stale:  # a worker has died: all of this will be sent again
            inlet.abandon()
            return
        inlet.pace.observe(1, time.monotonic() - self._began_s)
        if self._position == turn.parcel.count:
            self._runner.node.report_turn(inlet)
            inlet.end()


class Single:
    """The items of one stream."""

    def __init__(self, runner: FunctorRunner) -> None:
        self._runner = runner
        self._inlet: Inlet = next(iter(runner.node.inlets.values()))
        self._reader = Reader(runner, self._inlet)
        self._stateless = self._inlet.is_stateless

    def take(self) -> WorkItem[Arrived] | None:
        node, inlet, reader = self._runner.node, self._inlet, self._reader
        if inlet.turn is not None and inlet.turn.stale:
            inlet.abandon()
        if not reader.ready:
            ends_by_itself = not self._stateless  # a stateless worker leaves when it is told to
            self._runner.wait_for_input(
                lambda: reader.ready or node.orders.leaving or (ends_by_itself and inlet.ended)
            )
            if not reader.ready:
                return None
        return reader.pop()

    def done(self) -> None:
        self._reader.done()


def keys_at(parcel: Arrived, position: int) -> Mapping[int, Key]:
    """What travelled beside this item of a parcel."""
    if parcel.keys is None:
        return NO_KEYS
    return {join: tuple(keys[position]) for join, keys in parcel.keys.items()}
