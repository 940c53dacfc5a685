"""The general way: several streams in or out, Regulators, segments in loops, term flags."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from minipipe.operators.steppers import (
    ENDED,
    SKIPPED,
    CoroutineStepper,
    FunctionStepper,
    Stepper,
)
from minipipe.operators.work_item import WorkItem
from minipipe.segments.functor import Opened
from minipipe.stream import records
from minipipe.stream.arrived import Arrived
from minipipe.stream.duties import FLUSH_S, is_slow
from minipipe.worker.emit import Emitter
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.inputs import Input, Single
from minipipe.worker.joins import KeyedJoin, ZipJoin
from minipipe.worker.spec import Task


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
        self._task, self._opened = task, opened
        self._flag = task.term_flag
        self._read_only_functor = task.read_only_functor
        self._emitter = Emitter(runner, one_for_one=not regulates)
        self._inlet = next(iter(runner.node.inlets.values()))
        self._stateless = self._inlet.is_stateless
        self._regulates = regulates
        self._ends = False  # by mp.Sentinel
        self._input, self._stepper = input_of(runner, task), self._new_stepper()

    def _new_stepper(self) -> Stepper:
        task, opened = self._task, self._opened
        where, ends = self._runner.where, self._node.wiring.in_loop
        if not self._regulates:
            sinks = not self._runner.outlets
            return FunctionStepper(self, opened, where, ends=ends, sinks=sinks)
        about = {"functor": task.functor, "init_kwargs": task.init_kwargs}
        return CoroutineStepper(self, opened, where, ends=ends, **about)

    def run(self) -> None:
        """Works off what arrives, until there will be no more, or this segment ends itself."""
        runner, node = self._runner, self._node
        runner.leave = self._stepper.close
        self._stepper.prime()
        while (taken := self._input.take()) is not None:
            if self._flag is not None and self._flag.is_set():
                self._ends = True
            else:
                if not self._is_stale(taken):
                    self._work(taken)
                self._inlet.tombstones += taken.is_tombstone
                # What keeps the last item of a parcel keeps its slot, of which the rest is dead.
                taken = None
                self._input.done()
                if node.writable_after_send:
                    node.memory.isolate_sent_arrays(read_only_functor=self._read_only_functor)
                runner.calls.check()
            if self._ends:
                break
        self._finish()

    def _is_stale(self, taken: WorkItem[Arrived]) -> bool:
        """Tends the node, if it is time; whether the item, as was heard just now, is for nobody."""
        node, inlet, now_s = self._node, self._inlet, time.monotonic()
        if now_s - node.flushed_s >= FLUSH_S or is_slow(inlet.pace.service_time_s):
            node.tend_before_call(taken.number, now_s, inlet.pace)
            self._runner.calls.check()
        return self._stateless and inlet.turn is not None and inlet.turn.stale

    def _finish(self) -> None:
        node = self._node
        began_s = time.monotonic()
        self._pass_on(None, self._stepper.finish(), began_s)
        if text := self._stepper.lost():
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

    def leave_pass(self) -> None:
        """The pass is over: for the next one a Regulator's coroutine is made anew, and a join."""
        runner, self._ends = self._runner, False
        runner.leave = lambda: None
        runner.close_open(self._stepper.close)
        self._input, self._stepper = input_of(runner, self._task), self._new_stepper()

    # ------------------------------------------------------------------ an item
    def _work(self, taken: WorkItem[Arrived]) -> None:
        node = self._node
        self._runner.calls.begin(taken.parcel.origin, taken.parcel.path)
        if taken.is_tombstone:  # dropped before: passed on for the join to know, and nothing else
            self._emit(None, time.monotonic(), taken)
            return
        began_s = time.monotonic()
        if self._regulates:
            self._pass_on(taken, self._stepper.first(taken), began_s)
            return
        step = None
        if not node.orders.crash_suspects or not self._runner.sets_aside(
            taken.number, taken.parcel
        ):
            step = self._stepper.first(taken)
        if step is ENDED:
            self._ends = True
        elif not self._runner.outlets:
            node.page.dropped += step is SKIPPED
        elif not self._emit(None if step is SKIPPED else step, began_s, taken):
            node.page.dropped += 1

    def _emit(self, result: Any, began_s: float, taken: WorkItem[Arrived]) -> bool:
        """Sends what was made of an item; False if that was nothing."""
        if not self._runner.outlets:
            return False
        if not self._stateless:
            return self._emitter.put(result, began_s, taken)
        turn = self._inlet.turn
        assert turn is not None
        if turn.stale:
            return True
        there_was, sent = self._emitter.forward(result, began_s, taken)
        if not sent and not turn.stale:
            turn.drops.append(taken.number)
        return there_was

    def _pass_on(self, taken: WorkItem[Arrived] | None, step: Any, began_s: float) -> None:
        """Sends what the coroutine gives, for as long as it gives something."""
        node = self._node
        while step is not None:
            if step is ENDED:
                self._ends = True
                return
            if step is SKIPPED:
                node.page.dropped += taken is not None
                return
            if not self._emitter.put(step, began_s, taken):
                node.page.dropped += 1
            now_s = time.monotonic()
            node.tend(now_s)
            self._runner.calls.check()  # the pass may have been left just now
            began_s = now_s
            if node.writable_after_send:
                step = None
                node.memory.isolate_sent_arrays(read_only_functor=self._read_only_functor)
            step = self._stepper.more(taken)

    # ------------------------------------------------- what the steppers call it by
    def guarded(
        self, taken: WorkItem[Arrived] | None, function: Callable[..., Any], *args: Any
    ) -> Any:
        """What the functor gives; SKIPPED if it raised something that is to be ignored."""
        runner = self._runner
        if taken is None:
            try:
                return runner.calls.outside(function, *args)
            except BaseException as error:
                runner.after(error, None, None, runner.node.ident)
                return SKIPPED
        try:
            return runner.calls.at(taken.number, function, *args)
        except BaseException as error:
            # One that joins has state, and is shown nothing that it could not write to.
            runner.skipping.parts = taken.parts
            parcel, number = taken.parcel, taken.number
            return runner.again(error, self._inlet, parcel, function, number, taken.shown)

    def broken_at(self, error: Exception, taken: WorkItem[Arrived] | None) -> BaseException:
        """What to raise for a mistake of the functor's at this item."""
        return self._runner.broken_at(error, taken)
