"""A Source's worker: yields items until there are no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import GeneratorType
from typing import Any

from minipipe.operators.steppers import Epochs, is_ended_by_errors
from minipipe.segments.functor import Opened
from minipipe.segments.markers import Sentinel
from minipipe.stream import Outlet, StopRun
from minipipe.stream.page import ITEM_WORD
from minipipe.stream.pending import FAST
from minipipe.worker.emit import Emitter
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.skipping import GENERATED, broken
from minipipe.worker.spec import Task


class SourceLoop:
    """Yields what the functor gives, epoch by epoch."""

    def __init__(self, runner: FunctorRunner, task: Task, opened: Opened) -> None:
        self._runner = runner
        self._node = runner.node
        self._task = task
        about = {"functor": task.functor, "init_kwargs": task.init_kwargs}
        self._epochs = Epochs(opened, runner.where, **about)
        self._ended = False  # for good: by mp.Sentinel, or an ignored exception
        one_by_one = len(runner.outlets) > 1 or task.term_flag is not None
        self._emitter = Emitter(runner) if one_by_one else None

    def run(self) -> None:
        """Yields all items, then waits until every one is settled and closes the region."""
        for epoch in range(self._task.epochs):
            if self._ended or self._node.orders.draining:
                break
            self._go_through(self._begin(epoch))
        self._runner.close()

    def _begin(self, epoch: int) -> Iterator[Any]:
        runner = self._runner
        try:
            iterator: Iterator[Any] = runner.calls.outside(self._epochs.begin, epoch)
        except StopRun:
            raise
        except BaseException as error:
            raise broken(error, None, None, self._node.ident) from error
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
            before, times_served = outlet.next_number, node.handover.times_served
            if self._emitter is not None:
                goes_on = self._yield_one(iterator, self._emitter)
            else:
                goes_on = self._yield_some(iterator, outlet, min(poll_interval.items, outlet.room))
            now_s = time.monotonic()
            if self._emitter is None:
                outlet.added(began_s, now_s, outlet.next_number - before)
            poll_interval.took(now_s - began_s)
            if node.handover.times_served == times_served:
                node.tend(now_s)  # else the service thread has just done it
            runner.calls.check()

    def _failed(self, error: BaseException, iterator: Iterator[Any], number: int) -> bool:
        """What an exception comes to; whether the iterator can go on."""
        self._ended = is_ended_by_errors(iterator)
        self._runner.after(error, number, GENERATED if self._ended else None, self._node.ident)
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
            node.isolate_sent_arrays()
        return True

    def _yield_some(self, iterator: Iterator[Any], outlet: Outlet, count: int) -> bool:
        """Takes up to `count` items from the iterator; False at its end.

        The hot loop of a Source: what is in it is paid for every item.
        """
        runner, node, service_thread = self._runner, self._node, self._runner.service_thread
        handover, words = node.handover, node.handover.words
        take, append = runner.calls.hooked(iterator.__next__), outlet.append_bare
        number, writable_after_send = outlet.next_number, node.writable_after_send
        if not service_thread.armed:
            service_thread.arm()
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
                if not service_thread.armed:
                    service_thread.arm()
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
                    node.isolate_sent_arrays()
            if not count:
                break  # the service thread was here: who gets the next one is to be chosen again
            number += 1
        return True
