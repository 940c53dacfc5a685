"""The quick way: one stream in, at most one out, an item for an item."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from minipipe.codec import readable
from minipipe.errors import SentinelError
from minipipe.operators.steppers import SKIPPED
from minipipe.protocol.delivery.paths import outputs
from minipipe.segments.functor import Opened
from minipipe.segments.markers import Sentinel
from minipipe.stream import Inlet, Outlet, Turn
from minipipe.stream.duties import FLUSH_S, UNSENT_S, is_slow
from minipipe.stream.outlet import PARCEL_S
from minipipe.stream.page import ITEM_WORD
from minipipe.stream.pending import FAST
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.skipping import broken


class LineLoop:
    """Works off what arrives, a parcel at a time."""

    def __init__(self, runner: FunctorRunner, opened: Opened) -> None:
        self._runner = runner
        self._node = runner.node
        self._function = opened.call
        self._inlet: Inlet = next(iter(runner.node.inlets.values()))
        self._outlet = runner.outlets[0] if runner.outlets else None
        if self._outlet is not None:
            self._outlet.makes_ahead = True

    def run(self) -> None:
        """Works off what arrives, until there will be no more."""
        node, runner, inlet, outlet = self._node, self._runner, self._inlet, self._outlet
        orders, stateless = node.orders, inlet.is_stateless
        while runner.may_begin(inlet, outlet, lambda: orders.leaving if stateless else inlet.ended):
            began_s = time.monotonic()
            turn = runner.next_batch(inlet)
            turn.items.reverse()  # they are popped, so that nothing but the functor holds them
            parcel = turn.parcel
            runner.calls.begin(parcel.origin, parcel.path)
            if (
                outlet is not None
                and stateless
                and not runner.set_origin(outlet, parcel, parcel.path, parcel.done)
            ):
                inlet.abandon()
                continue
            function = readable(self._function) if parcel.unreadable else self._function
            now_s = self._work_off(function, inlet, turn, began_s)
            if turn.stale:  # a worker has died: all of this will be sent again
                inlet.abandon()
                continue
            inlet.pace.observe(parcel.count, now_s - began_s)
            node.report_turn(inlet)
            inlet.end()
        runner.close()

    def leave_pass(self) -> None:
        """The pass is over: what is here of it is for nobody any more."""
        if self._inlet.turn is not None:
            self._inlet.abandon()

    def _work_off(
        self, function: Callable[..., Any], inlet: Inlet, turn: Turn, now_s: float
    ) -> float:
        """Calls the functor for each item of a parcel, or until that is stale; the time then."""
        node, runner, outlet = self._node, self._runner, self._outlet
        poll_interval, service_thread = runner.poll_interval, runner.service_thread
        duties = node.duties
        begun, count = 0, turn.parcel.count
        while begun < count and not turn.stale:
            if outlet is not None and not outlet.ready:
                runner.wait_for_room(outlet)
                now_s = time.monotonic()
                continue  # a worker may have died meanwhile
            # A quick functor first: whoever waits for this item waits longest.
            if is_slow(inlet.pace.service_time_s) or (begun and now_s - node.flushed_s >= FLUSH_S):
                node.tend_before_call(turn.numbers[begun], now_s, inlet.pace)
                runner.calls.check()
                if turn.stale:
                    break
                if outlet is not None and not outlet.ready:
                    continue
            stop = min(count, begun + poll_interval.items)
            if outlet is not None:
                stop = min(stop, begun + outlet.room)
            # What comes of the first of them, others may wait for: results, credit, confirmations.
            several = stop - begun > 1
            service_thread.watch(now_s, UNSENT_S if several else duties.due_s())
            began_s = now_s
            before = begun
            if outlet is None:
                begun = self._sink_some(function, inlet, turn, begun, stop)
            else:
                begun = self._work_some(function, inlet, outlet, turn, begun, stop)
            turn.reached(begun)
            now_s = time.monotonic()
            if outlet is not None and not turn.stale:
                # While others are here that it is called for next, they are to be expected.
                outlet.added(began_s, now_s, begun - before, PARCEL_S)
                if begun == count and not inlet.queue:
                    outlet.flush()  # first of all: somebody may be waiting for it
            poll_interval.took(now_s - began_s)
            if begun == count and not (inlet.ready and is_slow(inlet.pace.service_time_s)):
                node.tend(now_s)  # else the same is done right away, before the next call
            runner.calls.check()
        return now_s

    def _sink_some(
        self, function: Callable[..., Any], inlet: Inlet, turn: Turn, begun: int, stop: int
    ) -> int:
        """Calls the functor for the items [begun, stop) of a parcel; returns how far it came.

        The hot loop of a Sink: what is in it is paid for every item.
        """
        node, runner = self._node, self._runner
        handover, pop = node.handover, turn.items.pop
        words, call = handover.words, runner.calls.hooked(function)
        crash_suspects = node.orders.crash_suspects
        for number in turn.numbers[begun:stop]:
            item = pop()
            if crash_suspects and runner.sets_aside(number, turn.parcel):
                node.page.dropped += 1
                continue
            words[ITEM_WORD] = number + 1
            try:
                call(item)
            except BaseException as error:
                if runner.again(error, inlet, turn.parcel, function, number, item) is SKIPPED:
                    node.page.dropped += 1
            words[ITEM_WORD] = 0
            if handover.announced:
                handover.take_back()
                turn.reached(turn.numbers.index(number) + 1)
                runner.calls.check()
        return stop

    def _work_some(
        self,
        function: Callable[..., Any],
        inlet: Inlet,
        outlet: Outlet,
        turn: Turn,
        begun: int,
        stop: int,
    ) -> int:
        """Calls the functor for the items [begun, stop) of a parcel; returns how far it came.

        The hot loop of a Transform: what is in it is paid for every item.
        """
        node, runner = self._node, self._runner
        handover, pop = node.handover, turn.items.pop
        words, call = handover.words, runner.calls.hooked(function)
        crash_suspects = node.orders.crash_suspects
        origin, path = turn.parcel.origin, outputs(turn.parcel.path)
        append_bare, append_number = outlet.append_bare, outlet.append_number
        numbered, writable_after_send = outlet.ledger is None, node.writable_after_send
        for number in turn.numbers[begun:stop]:
            item = pop()
            poison = crash_suspects and runner.sets_aside(number, turn.parcel)
            words[ITEM_WORD] = number + 1
            try:
                result = None if poison else call(item)
            except BaseException as error:
                result = runner.again(error, inlet, turn.parcel, function, number, item)
                if result is SKIPPED:
                    result = None
            words[ITEM_WORD] = 0
            begun += 1
            if handover.announced:
                handover.take_back()
                turn.reached(begun)
                runner.calls.check()
                if turn.stale:
                    break
                outlet.reconsider()
                if not outlet.ready:
                    runner.wait_for_room(outlet)
                    if turn.stale:
                        break
                stop = begun  # who gets the next one is to be chosen again
            if result is None:
                node.page.dropped += 1
                if numbered:
                    turn.drops.append(number)
            else:
                if type(result) in FAST:
                    append_bare(result)
                    if numbered:
                        append_number(number)
                elif result is Sentinel:
                    raise broken(SentinelError(runner.where), number, item, origin, path)
                else:
                    try:
                        outlet.add(result, number)
                    except Exception as error:  # pickling runs code of the user's classes
                        runner.not_sent(error, number, item, origin, turn.parcel)
                        node.page.dropped += 1
                        if numbered:
                            turn.drops.append(number)
                if writable_after_send:
                    result = item = None
                    node.memory.isolate_sent_arrays()
            if begun >= stop:
                break
        return begun
