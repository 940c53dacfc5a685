"""A Source's worker: yields items until there are no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import GeneratorType
from typing import Any

from minipipe.errors import StateError
from minipipe.errors.cause import because
from minipipe.operators.positions import go_past
from minipipe.operators.steppers import Epochs, is_ended_by_errors, refused_message
from minipipe.process.worker_info import get_worker_info
from minipipe.protocol.delivery.numbering import first_of, pass_of
from minipipe.protocol.run.beginning import Skip
from minipipe.segments.functor import Opened
from minipipe.segments.markers import Sentinel
from minipipe.segments.shares import Share
from minipipe.stream import Outlet, StopRun
from minipipe.stream.duties import UNSENT_S
from minipipe.stream.page import ITEM_WORD
from minipipe.stream.pending import FAST
from minipipe.worker.emit import Emitter
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.skipping import GENERATED, broken
from minipipe.worker.spec import Task


class SourceLoop:
    """Yields what the functor gives, epoch by epoch."""

    def __init__(
        self,
        runner: FunctorRunner,
        task: Task,
        opened: Opened,
        share: Share,
        skip: Skip | None = None,
    ) -> None:
        self._runner = runner
        self._node = runner.node
        self._task = task
        about = {"functor": task.functor, "init_kwargs": task.init_kwargs}
        self._epochs = Epochs(opened, runner.where, **about)
        self._epochs.share = share
        self._skip = skip  # what was delivered before this run, of its first pass
        self._ended = False  # for this pass: by mp.Sentinel, or an ignored exception
        orders, info = self._node.orders, get_worker_info()
        if info is not None:
            info.drain_if(lambda: orders.draining)
        # What answers somebody is waited for: the next item may not come before it has arrived.
        self._answers = bool(getattr(task.functor, "answers", False))
        self._by_position = False
        one_by_one = len(runner.outlets) > 1 or task.term_flag is not None
        self._emitter = Emitter(runner) if one_by_one else None
        runner.outlets[0].makes_ahead = not one_by_one

    def run(self) -> None:
        """Yields all items of a pass, waits until every one is settled, and closes the region."""
        self._ended = False
        left = self._begin_behind()
        for epoch in range(self._task.epochs):
            if self._ended or self._node.orders.draining:
                break
            iterator = self._begin(epoch)
            if left:
                left -= self._go_past(iterator, left)
            if not left:
                self._go_through(iterator)
        if left >= self._shortest() and not self._node.orders.draining:
            raise broken(self._shorter(left), None, None, self._node.ident)
        self._runner.close()

    def _shortest(self) -> int:
        """So many items that were delivered and do not come any more are too many."""
        # States count bundles, of which the last one may have fewer items than the others.
        bundling = self._runner.outlets[0].spec.bundling
        return 1 if bundling is None or bundling.drops_last else bundling.size

    def _shorter(self, left: int) -> StateError:
        before = self._runner.outlets[0].next_number
        before -= first_of(pass_of(before))
        return StateError(
            f"the state was taken behind item {before} of {self._runner.where}, which yields "
            f"{before - left} items now: it is not what it was"
        )

    def _begin_behind(self) -> int:
        """In the first pass of a run that goes on where another one was left: numbers go on, too.

        How many items are to be gone past.
        """
        skip, self._skip = self._skip, None
        if skip is None or skip.pass_ != self._node.orders.pass_:
            return 0
        outlet = self._runner.outlets[0]
        assert outlet.ledger is not None
        first = outlet.next_number
        outlet.ledger.begin_pass(outlet.ledger.next_number + skip.number)
        self._by_position = skip.by_position
        return outlet.next_number - first

    def _go_past(self, iterator: Iterator[Any], count: int) -> int:
        """Goes past so many items; how many there were.

        Raises:
            Broken: one that was yielded before cannot be any more.
        """
        runner = self._runner
        if self._by_position:
            try:
                passed: int | None = runner.calls.outside(go_past, iterator, count)
            except StopRun:
                raise
            except BaseException as error:
                raise because(broken(error, None, None, self._node.ident), error) from error
            if passed is not None:
                return passed
        return self._ask_past(iterator, count)

    def _ask_past(self, iterator: Iterator[Any], count: int) -> int:
        """Does the same by asking for them."""
        runner, node = self._runner, self._node
        first = runner.outlets[0].next_number - count
        passed = 0
        while passed < count and not node.orders.draining:
            try:
                item = runner.calls.at(first + passed, iterator.__next__)
            except StopIteration:
                node.handover.leave()
                break
            except BaseException as error:
                if not self._failed(error, iterator, first + passed):
                    break
                continue
            if item is Sentinel:
                self._ended = True
                break
            if item is None:
                node.page.dropped += 1
            else:
                passed += 1
            node.tend(time.monotonic())
            runner.calls.check()
        return passed

    def leave_pass(self) -> None:
        """The pass is over: an iterator that is not at its end is for nobody any more."""
        runner, leave = self._runner, self._runner.leave
        runner.leave = lambda: None
        runner.close_open(leave)

    def _begin(self, epoch: int) -> Iterator[Any]:
        runner = self._runner
        try:
            iterator: Iterator[Any] = runner.calls.outside(self._epochs.begin, epoch)
        except StopRun:
            raise
        except BaseException as error:
            raise because(broken(error, None, None, self._node.ident), error) from error
        if isinstance(iterator, GeneratorType):
            runner.leave = iterator.close  # what is open in it is closed also after a stop
        return iterator

    def _go_through(self, iterator: Iterator[Any]) -> None:
        runner, node, poll_interval = self._runner, self._node, self._runner.poll_interval
        outlet, orders = runner.outlets[0], node.orders
        goes_on = True
        while goes_on and not orders.draining:
            if not outlet.ready:
                runner.wait_for_room(outlet)
            began_s = time.monotonic()
            room = 1 if self._answers else min(poll_interval.items, outlet.room)
            runner.service_thread.watch(began_s, UNSENT_S if room > 1 else node.duties.due_s())
            before, times_served = outlet.next_number, node.handover.times_served
            if self._emitter is not None:
                goes_on = self._yield_one(iterator, self._emitter)
            else:
                goes_on = self._yield_some(iterator, outlet, room)
            now_s = time.monotonic()
            if self._emitter is None:
                outlet.added(began_s, now_s, outlet.next_number - before)
                if self._answers:
                    outlet.flush()
            poll_interval.took(now_s - began_s)
            if node.handover.times_served == times_served:
                node.tend(now_s)  # else the service thread has just done it
            runner.calls.check()

    def _failed(self, error: BaseException, iterator: Iterator[Any], number: int) -> bool:
        """What an exception comes to; whether the iterator can go on."""
        self._ended = is_ended_by_errors(iterator)
        item = GENERATED if self._ended else refused_message(error)
        self._runner.after(error, number, item, self._node.ident)
        self._node.page.dropped += 1
        return not self._ended

    def _yield_one(self, iterator: Iterator[Any], emitter: Emitter) -> bool:
        """Takes an item, an element of it for each of several downstreams; False at the end."""
        runner, node = self._runner, self._node
        if self._task.term_flag is not None and self._task.term_flag.is_set():
            self._ended = True
            return False
        number = runner.outlets[0].next_number
        began_s = time.monotonic()
        try:
            item = runner.calls.at(number, iterator.__next__)
        except StopIteration:
            node.handover.leave()
            return False
        except BaseException as error:
            return self._failed(error, iterator, number)
        if item is Sentinel:
            self._ended = True
            return False
        if not emitter.put(item, began_s, None):
            node.page.dropped += 1
        if node.writable_after_send:
            item = None
            node.memory.isolate_sent_arrays()
        return True

    def _yield_some(self, iterator: Iterator[Any], outlet: Outlet, count: int) -> bool:
        """Takes up to `count` items from the iterator; False at its end.

        The hot loop of a Source: what is in it is paid for every item.
        """
        runner, node = self._runner, self._node
        handover, words = node.handover, node.handover.words
        take, append = runner.calls.hooked(iterator.__next__), outlet.append_bare
        number, writable_after_send = outlet.next_number, node.writable_after_send
        for _ in range(count):
            words[ITEM_WORD] = number + 1
            try:
                item = take()
            except StopIteration:
                node.handover.leave()
                return False
            except BaseException as error:
                return self._failed(error, iterator, number)
            words[ITEM_WORD] = 0
            if handover.announced:
                handover.take_back()
                runner.calls.check()
                outlet.reconsider()
                if not outlet.ready:
                    runner.wait_for_room(outlet)
                count = 0
            if type(item) in FAST:
                append(item)
            elif item is None:
                node.page.dropped += 1
                continue
            elif item is Sentinel:
                self._ended = True
                return False
            else:
                try:
                    outlet.add(item)
                except Exception as error:  # pickling runs code of the user's classes
                    runner.not_sent(error, number, item, node.ident)
                    node.page.dropped += 1
                    item = None
                    continue
                if writable_after_send:
                    item = None
                    node.memory.isolate_sent_arrays()
            if not count:
                break  # the service thread was here: who gets the next one is to be chosen again
            number += 1
        return True
