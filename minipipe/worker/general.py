"""The general way: several streams in or out, Regulators, segments in loops, term flags."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from minipipe.codec import readable
from minipipe.errors import SentinelError
from minipipe.segments.coroutine import Coroutine, lost_tail
from minipipe.segments.functor import Opened, coroutine_kwargs
from minipipe.segments.functor_code import yields_nothing
from minipipe.segments.markers import Sentinel
from minipipe.stream import Role, records
from minipipe.worker.emit import Emitter
from minipipe.worker.functor_runner import SKIPPED, FunctorRunner
from minipipe.worker.inputs import Input, Single
from minipipe.worker.joins import KeyedJoin, ZipJoin
from minipipe.worker.spec import Task
from minipipe.worker.work_item import WorkItem


def input_of(runner: FunctorRunner, task: Task) -> Input:
    """Where this worker's items come from."""
    wiring = runner.node.wiring
    if len(wiring.inlets) == 1:
        return Single(runner)
    if wiring.pairs is None:
        return ZipJoin(runner, task.strict)
    return KeyedJoin(runner, wiring.pairs)


class GeneralLoop:
    """Works off what arrives, an item at a time."""

    def __init__(
        self, runner: FunctorRunner, task: Task, opened: Opened, *, regulates: bool
    ) -> None:
        self._runner = runner
        self._node = runner.node
        self._flag = task.term_flag
        self._read_only_functor = task.read_only_functor
        self._input = input_of(runner, task)
        self._emitter = Emitter(runner, one_for_one=not regulates)
        self._inlet = next(iter(runner.node.inlets.values()))
        self._relays = self._inlet.spec.role is Role.STATELESS
        self._function = readable(opened.call)
        self._coroutine: Coroutine | None = None
        if regulates:
            kwargs = coroutine_kwargs(task.functor, task.init_kwargs)
            self._coroutine = Coroutine(lambda: opened.call(**kwargs), runner.where)
            runner.leave = self._coroutine.close
        self._yields_nothing = regulates and yields_nothing(task.functor)
        self._ends = False  # by mp.Sentinel

    def run(self) -> None:
        """Works off what arrives, until there will be no more, or this segment ends itself."""
        runner, node = self._runner, self._node
        if self._coroutine is not None:
            self._guarded(None, self._coroutine.prime)
        while (taken := self._input.take()) is not None:
            if self._flag is not None and self._flag.is_set():
                self._ends = True
            else:
                self._work(taken)
                self._input.done()
                self._inlet.tombstones += taken.is_tombstone
                if node.writable_after_send:
                    taken = None
                    node.isolate_sent_arrays(read_only_functor=self._read_only_functor)
                node.tend(time.monotonic())
                runner.calls.check()
            if self._ends:
                break
        self._finish()

    def _finish(self) -> None:
        node = self._node
        if self._coroutine is not None:
            self._pass_on(None, self._coroutine.finish, self._coroutine.more)
            if self._coroutine.lost and not self._yields_nothing:
                text = lost_tail(self._runner.where, self._coroutine.lost)
                node.report(records.Log(logging.WARNING, text))
        self._emitter.flush()
        if self._ends or node.orders.leaving:
            for inlet in node.inlets.values():
                inlet.discard()
        node.rest.ended = True
        node.rest.passive = node.wiring.in_loop  # what it has counted is told whenever it changes
        if self._ends:
            node.report(records.Ended())
        self._runner.close()

    # ------------------------------------------------------------------ an item
    def _work(self, taken: WorkItem) -> None:
        node = self._node
        self._runner.calls.begin(taken.parcel.origin, taken.parcel.path)
        if taken.is_tombstone:  # dropped before: passed on for the join to know, and nothing else
            self._emit(None, time.monotonic(), taken)
            return
        if self._coroutine is not None:
            coroutine = self._coroutine
            self._pass_on(taken, lambda: readable(coroutine.send)(taken.shown), coroutine.more)
            return
        began_s = time.monotonic()
        if node.orders.crash_suspects and self._runner.sets_aside(taken.number, taken.parcel):
            result = None
        else:
            result = self._guarded(taken, self._function, *taken.arguments)
        if result is Sentinel:
            self._end_itself(taken)
        elif self._runner.outlets and not self._emit(result, began_s, taken):
            node.page.dropped += 1

    def _emit(self, result: Any, began_s: float, taken: WorkItem) -> bool:
        """Sends what was made of an item; False if that was nothing."""
        if not self._runner.outlets or self._coroutine is not None:
            return False
        if not self._relays:
            return self._emitter.put(result, began_s, taken)
        turn = self._inlet.turn
        assert turn is not None
        if turn.stale:
            return True
        there_was, sent = self._emitter.relay(result, began_s, taken)
        if not sent and not turn.stale:
            turn.drops.append(taken.number)
        return there_was

    def _end_itself(self, taken: WorkItem | None) -> None:
        if not self._node.wiring.in_loop:
            raise self._runner.broken_at(SentinelError(self._runner.where), taken)
        self._ends = True

    def _pass_on(
        self, taken: WorkItem | None, first: Callable[[], Any], more: Callable[[], Any]
    ) -> None:
        """Advances the coroutine for as long as it gives something."""
        began_s = time.monotonic()
        output = self._guarded(taken, first)
        while output is not None:
            if output is Sentinel:
                self._end_itself(taken)
                return
            self._emitter.put(output, began_s, taken)
            self._node.tend(time.monotonic())
            began_s = time.monotonic()
            if self._node.writable_after_send:
                output = None
                self._node.isolate_sent_arrays(read_only_functor=self._read_only_functor)
            output = self._guarded(taken, more)

    def _guarded(self, taken: WorkItem | None, function: Callable[..., Any], *args: Any) -> Any:
        """What the functor gives; None if it raised something that is to be ignored."""
        runner = self._runner
        if taken is None:
            try:
                return runner.calls.outside(function, *args)
            except BaseException as error:
                runner.after(error, None, None, runner.node.ident)
                return None
        try:
            return runner.calls.at(taken.number, function, *args)
        except BaseException as error:
            # One that joins has state, and is shown nothing that it could not write to.
            parcel, number = taken.parcel, taken.number
            runner.skipping.parts = taken.parts
            result = runner.again(error, self._inlet, parcel, function, number, taken.shown)
            if result is not SKIPPED:
                return result
            if not runner.outlets or self._coroutine is not None:
                runner.node.page.dropped += 1
            return None
