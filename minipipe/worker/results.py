"""What comes of the items of a bundle, until it is passed on: as a bundle, or as a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from minipipe.codec import ATOMS
from minipipe.errors import ItemTypeError
from minipipe.process.seeds import current
from minipipe.segments.batching import Batching
from minipipe.stream import Outlet, Turn
from minipipe.stream.arrived import Arrived
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.skipping import BATCHING, COLLATING, SENDING

if TYPE_CHECKING:
    from minipipe.operators.batching import Samples


class Results(Protocol):
    """What the functor gave for the items of one bundle."""

    def add(self, number: int, item: Any, result: Any, parcel: Arrived) -> bool:
        """Adds what the functor gave for an item; False if it is skipped."""

    def pass_on(self, turn: Turn, bundle: int) -> bool:
        """Puts them to the outlet, which has room; False if there is nothing to pass on."""

    def discard(self) -> None:
        """Nobody needs them any more."""


class Relayed:
    """They go on as a bundle, each under its number."""

    def __init__(self, runner: FunctorRunner, outlet: Outlet) -> None:
        self._runner = runner
        self._outlet = outlet
        self._made: list[tuple[object, int, int]] = []  # token, size, number

    def add(self, number: int, item: Any, result: Any, parcel: Arrived) -> bool:
        if type(result) in ATOMS:
            self._made.append((result, 0, number))
            return True
        try:
            token, size = self._outlet.snapshot(result)
        except Exception as error:  # pickling runs code of the user's classes
            self._runner.not_sent(error, number, item, parcel.origin, parcel)
            return False
        self._made.append((token, size, number))
        return True

    def pass_on(self, turn: Turn, bundle: int) -> bool:
        made, self._made = self._made, []
        for one in made:
            self._outlet.append(*one)
        return bool(made)

    def discard(self) -> None:
        for token, _, _ in self._made:
            self._outlet.discard(token)
        self._made = []


class Batched:
    """They go on as one batch."""

    def __init__(self, runner: FunctorRunner, outlet: Outlet, batching: Batching) -> None:
        self._runner = runner
        self._outlet = outlet
        # Only here: a zygote need not import all of this for segments that make no batches.
        from minipipe.operators.batching import Samples

        self._samples: Samples = Samples(batching)
        self._numbers: list[int] = []

    def add(self, number: int, item: Any, result: Any, parcel: Arrived) -> bool:
        try:
            self._samples.add(result)
        except BaseException as error:
            self._runner.after(error, number, item, parcel.origin, parcel, BATCHING)
            return False
        self._numbers.append(number)
        return True

    def pass_on(self, turn: Turn, bundle: int) -> bool:
        runner = self._runner
        numbers, self._numbers = self._numbers, []
        if not numbers:
            return False
        try:
            if self._samples.runs_user_code:
                batch = runner.calls.outside(self._collate)
                runner.calls.check()
            else:
                batch = self._samples.batch()
        except BaseException as error:
            self._failed(error, numbers, turn.parcel, COLLATING)
            return False
        if batch is None:
            runner.node.page.dropped += len(numbers)
            return False
        try:
            self._outlet.add(batch, bundle)
        except Exception as error:  # pickling runs code of the user's classes
            if isinstance(error, ItemTypeError):
                self._failed(error, numbers, turn.parcel, SENDING)
                return False
            number = numbers[0]
            runner.not_sent(error, number, None, turn.parcel.origin, turn.parcel)
        if runner.node.writable_after_send:
            batch = None
            runner.node.memory.isolate_sent_arrays()
        return True

    def _collate(self) -> Any:
        current().begin_more()  # what it draws follows from the last item
        return self._samples.batch()

    def _failed(
        self, error: BaseException, numbers: list[int], parcel: Arrived, doing: str
    ) -> None:
        """None of the items is in a batch: each of them has failed."""
        runner = self._runner
        original = runner.node.parcel_decoder.original
        for number in numbers:
            item = original(parcel, number)
            runner.after(error, number, item, parcel.origin, parcel, doing)
            runner.node.page.dropped += 1

    def discard(self) -> None:
        self._samples.clear()
        self._numbers = []
