"""Sources, and what takes items: how each kind of segment calls its functor inline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from inspect import GEN_CLOSED, getgeneratorstate
from types import GeneratorType
from typing import Any

from minipipe.errors import LifecycleError, MessageRefusedError
from minipipe.inline.connections import Delivery, Identity
from minipipe.inline.joins import Item, Join
from minipipe.inline.stage import Stage
from minipipe.operators.skipping import logger
from minipipe.operators.steppers import (
    ENDED,
    SKIPPED,
    CoroutineStepper,
    Epochs,
    FunctionStepper,
    Stepper,
    is_ended_by_errors,
    refused_message,
)
from minipipe.operators.work_item import WorkItem
from minipipe.protocol.delivery.numbering import first_of
from minipipe.segments.kinds import Source
from minipipe.segments.markers import Sentinel
from minipipe.segments.shares import Share


class SourceStage(Stage):
    """Yields what the functor gives, epoch by epoch; of each of its workers, one by one."""

    _iterator: Iterator[Any] | None = None
    _epochs: Epochs | None = None
    _begun = 0  # epochs of the worker
    _workers = 0  # that have ended
    _asked = 0  # how many items the worker was asked for

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.info.num_workers = self.segment.n_processes
        self._tails: list[Delivery] = []  # the last bundles of workers that have ended

    def begin_pass(self, pass_: int, join: Join | None) -> None:
        super().begin_pass(pass_, join)
        self._iterator, self._begun, self._workers = None, 0, 0
        self._asked = first_of(pass_)
        self._tails = []
        self.randomness = self.randomness.of_worker(0)

    def next(self) -> Iterable[Delivery] | None:
        """Where the next item goes; None if there are no more."""
        self.as_worker()
        while not self.quits and not self.is_flagged():
            try:
                if self._iterator is None and not self._begin():
                    break
                assert self._iterator is not None
                self.randomness.begin(self.segment.worker_name(self._workers), (), self._asked)
                self._asked += 1
                if self.spans is None:
                    item = next(self._iterator)
                else:
                    number = self.outlets[0].next_number
                    item = self.shown(number + 1, self.segment.index, next, self._iterator)
            except StopIteration:
                self._iterator = None
                continue
            except BaseException as error:
                self._failed(error)
                continue
            if item is Sentinel:
                self._end_worker()
                continue
            if item is not None:
                tails, self._tails = self._tails, []
                return [*tails, *self.put(item, None)] if tails else self.put(item, None)
            self.dropped += 1
        self.quit()
        return None

    def last_bundles(self) -> Iterable[Delivery]:
        yield from self._tails
        yield from super().last_bundles()

    def _begin(self) -> bool:
        """Begins the next epoch, if there is one."""
        declared, opened = self.declared, self.opened
        assert isinstance(declared, Source) and opened is not None
        if self._begun == declared.epochs:
            self._end_worker()
        if self._workers == self.segment.n_processes:
            return False
        if self._epochs is None:
            about = {"functor": declared.functor_obj, "init_kwargs": declared.init_kwargs}
            self._epochs = Epochs(opened, self.where, **about)
        self._epochs.share = Share(self._workers, self.segment.n_processes)
        iterator = self._epochs.begin(self._begun)
        if isinstance(iterator, GeneratorType) and getgeneratorstate(iterator) == GEN_CLOSED:
            raise LifecycleError(
                f"the generator of {self.where} has been used up: inline it is the caller's own, "
                "so give the generator function, or make the generator anew for each pass"
            )
        self._iterator = iterator
        self._begun += 1
        return True

    def _end_worker(self) -> None:
        self._iterator, self._begun, self._asked = None, 0, first_of(self.info.pass_)
        self._workers += 1
        self._tails += super().last_bundles()
        self.randomness = self.randomness.of_worker(self._workers)
        if self._workers < self.segment.n_processes:
            info, seed = self.info, self.randomness.seed
            info.id, info.name = self._workers, self.segment.worker_name(self._workers)
            info.seed = info.seed if seed is None else seed
        self.as_worker()

    def _failed(self, error: BaseException) -> None:
        """What an exception comes to: the stream goes on, or it ends, or the run does."""
        refused, number = refused_message(error), self.outlets[0].next_number
        came = () if refused is None else (refused,)
        if isinstance(error, MessageRefusedError):
            number = error.number
        at: Item = WorkItem(came, number, Identity(self.segment.index))
        self.skipping.begin(at)
        if self._iterator is None:  # it has not even begun
            raise self.broken_at(error, at)  # type: ignore[arg-type]
        ends = is_ended_by_errors(self._iterator)
        self.consequence = " and the stream ends, as a generator cannot go on" if ends else ""
        if not self.skips(error, at, last=ends):
            raise error
        self.dropped += 1
        if ends:
            self._end_worker()

    @property
    def taken(self) -> int:
        return self.items_out + self.dropped

    def leave(self) -> None:
        # An initialised generator is the caller's, who may go on with it after reset().
        if isinstance(self._iterator, GeneratorType):
            if self._iterator is not self.declared.functor_obj:
                self._iterator.close()
            self._iterator = None


class OperatorStage(Stage):
    """A Transform, Regulator or Sink."""

    _stepper: Stepper | None = None

    def open(self) -> None:
        super().open()
        self._begin()

    def begin_pass(self, pass_: int, join: Join | None) -> None:
        super().begin_pass(pass_, join)
        self.as_worker()
        self._begin()

    def _begin(self) -> None:
        """Has its functor ready for the first item."""
        opened, declared, ends = self.opened, self.declared, self.segment.in_loop
        assert opened is not None
        if self.segment.kind == "regulator":
            self.consequence = " and its coroutine is made anew"
            about = {"functor": declared.functor_obj, "init_kwargs": declared.init_kwargs}
            self._stepper = CoroutineStepper(self, opened, self.where, ends=ends, **about)
        else:
            sinks = not self.outlets
            self._stepper = FunctionStepper(self, opened, self.where, ends=ends, sinks=sinks)
        self._stepper.prime()

    def take(self, inlet: int, item: Item) -> Iterator[Delivery]:
        taken = self.gather(inlet, item)
        if taken is None:
            return
        if taken.is_tombstone:  # dropped before: passed on for the join to know, and nothing else
            yield from self.put(None, taken)
            return
        assert self._stepper is not None
        yield from self._passed_on(self._stepper, self._stepper.first(taken), taken)

    def finish(self) -> Iterator[Delivery]:
        yield from super().finish()
        self.finishing = True
        stepper = self._stepper
        assert stepper is not None
        yield from self._passed_on(stepper, stepper.finish(), None)
        if text := stepper.lost():
            logger.warning("%s", text)
        self.judge_failures(final=True)

    def _passed_on(self, stepper: Stepper, step: Any, taken: Item | None) -> Iterator[Delivery]:
        """What comes of a call, and of those that it needs to give all that it has."""
        if step is SKIPPED or step is None:
            if taken is None or not self.outlets or self.segment.kind == "regulator":
                self.dropped += step is SKIPPED and taken is not None
            else:
                yield from self.put(None, taken)
            return
        while step is not None and step is not SKIPPED:
            if step is ENDED:
                self.quit()
                return
            yield from self.put(step, taken)
            step = stepper.more(taken)
        self.dropped += step is SKIPPED and taken is not None

    def leave(self) -> None:
        if self._stepper is not None:
            self._stepper.close()
