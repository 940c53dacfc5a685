"""Items that come in bundles: each is worked off by itself, and what comes of them goes on as one.

As a bundle, to the next segment that takes bundles (`Relayed`), or as a batch (`Batched`).  What is
numbered, confirmed, granted and done again is the bundle; what is called, skipped, charged with a
death and seeded is the item (`protocol.delivery.bundles`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from minipipe.codec import readable
from minipipe.errors import SentinelError
from minipipe.operators.steppers import SKIPPED
from minipipe.protocol.delivery.paths import outputs
from minipipe.segments.functor import Opened
from minipipe.segments.markers import Sentinel
from minipipe.stream import Inlet, Outlet, Turn
from minipipe.stream.arrived import Bundle
from minipipe.stream.duties import is_slow
from minipipe.stream.page import ITEM_WORD
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.results import Batched, Relayed, Results
from minipipe.worker.skipping import broken
from minipipe.worker.spec import Task

# In the middle of a bundle, of which nothing can be passed on, nobody waits for more.
TEND_S: Final = 0.01


class BundleLoop:
    """Works off what arrives, a bundle at a time."""

    def __init__(self, runner: FunctorRunner, task: Task, opened: Opened) -> None:
        self._runner = runner
        self._node = runner.node
        self._function = opened.call
        self._inlet: Inlet = next(iter(runner.node.inlets.values()))
        self._outlet: Outlet = runner.outlets[0]
        self._outlet.makes_ahead = True
        self._stateless = self._inlet.is_stateless
        self._results: Results
        if task.batching is None:
            self._results = Relayed(runner, self._outlet)
        else:
            self._results = Batched(runner, self._outlet, task.batching)

    def run(self) -> None:
        """Works off what arrives, until there will be no more."""
        node, runner, inlet, outlet = self._node, self._runner, self._inlet, self._outlet
        orders, stateless = node.orders, self._stateless
        while runner.may_begin(inlet, outlet, lambda: orders.leaving if stateless else inlet.ended):
            began_s = time.monotonic()
            turn = runner.next_batch(inlet)
            parcel = turn.parcel
            runner.calls.begin(parcel.origin, parcel.path)
            if stateless and not runner.set_origin(outlet, parcel, parcel.path, parcel.done):
                inlet.abandon()
                continue
            function = readable(self._function) if parcel.unreadable else self._function
            self._work_off(function, turn)
            if turn.stale:  # a worker has died: all of this will be sent again
                self._results.discard()
                inlet.abandon()
                continue
            inlet.pace.observe(parcel.count, time.monotonic() - began_s)
            node.report_turn(inlet)
            inlet.end()
        runner.close()

    def leave_pass(self) -> None:
        """The pass is over: what is here of it is for nobody any more."""
        self._results.discard()
        if self._inlet.turn is not None:
            self._inlet.abandon()

    def _work_off(self, function: Callable[..., Any], turn: Turn) -> None:
        """Works off the bundles of a parcel, or until that is stale."""
        runner, outlet, count = self._runner, self._outlet, turn.parcel.count
        for position in range(count):
            began_s = time.monotonic()
            bundle, turn.items[position] = turn.items[position], None
            if not self._finds_room(turn) or not self._map(function, bundle, turn):
                return
            outlet.reconsider()  # time has passed
            if not self._finds_room(turn):
                return
            if self._results.pass_on(turn, turn.numbers[position]):
                outlet.added(began_s, time.monotonic(), 1)
            elif self._stateless:
                turn.drops.append(turn.numbers[position])
            turn.reached(position + 1)
            if position + 1 == count and not self._inlet.queue:
                outlet.flush()  # first of all: somebody may be waiting for it
            runner.calls.check()
            if turn.stale:
                return

    def _finds_room(self, turn: Turn) -> bool:
        """Waits until a bundle could be passed on; False if nobody wants it any more."""
        if not self._outlet.ready:
            self._runner.wait_for_room(self._outlet)
        return not turn.stale

    def _map(self, function: Callable[..., Any], bundle: Bundle, turn: Turn) -> bool:
        """Calls the functor for each item; False if the turn is stale before the last one."""
        node, runner, poll_interval = self._node, self._runner, self._runner.poll_interval
        bundle.items.reverse()  # they are popped, so that nothing but the functor holds them
        begun, count = 0, len(bundle.numbers)
        while begun < count and not turn.stale:
            began_s = time.monotonic()
            is_late = began_s - node.flushed_s >= TEND_S
            if is_late or (not begun and is_slow(self._inlet.pace.service_time_s)):
                node.tend_before_call(bundle.numbers[begun], began_s, self._inlet.pace)
                runner.calls.check()
                if turn.stale:
                    break
            runner.service_thread.watch(began_s, node.duties.due_s())
            stop = min(count, begun + poll_interval.items)
            begun = self._map_some(function, bundle, turn, begun, stop)
            poll_interval.took(time.monotonic() - began_s)
            runner.calls.check()
        return not turn.stale

    def _map_some(
        self, function: Callable[..., Any], bundle: Bundle, turn: Turn, begun: int, stop: int
    ) -> int:
        """Calls the functor for the items [begun, stop) of a bundle; returns how far it came.

        The hot loop: what is in it is paid for every item.
        """
        node, runner, inlet, results = self._node, self._runner, self._inlet, self._results
        parcel, pop = turn.parcel, bundle.items.pop
        handover = node.handover
        words, call = handover.words, runner.calls.hooked(function)
        crash_suspects = node.orders.crash_suspects
        for number in bundle.numbers[begun:stop]:
            item = pop()
            begun += 1
            if crash_suspects and runner.sets_aside(number, parcel):
                node.page.dropped += 1
                continue
            words[ITEM_WORD] = number + 1
            try:
                result = call(item)
            except BaseException as error:
                result = runner.again(error, inlet, parcel, function, number, item)
            words[ITEM_WORD] = 0
            if handover.announced:
                handover.take_back()
                runner.calls.check()
                if turn.stale:
                    break
            if result is Sentinel:
                path = outputs(parcel.path)
                raise broken(SentinelError(runner.where), number, item, parcel.origin, path)
            if result is None or result is SKIPPED or not results.add(number, item, result, parcel):
                node.page.dropped += 1
            elif node.writable_after_send:
                result = item = None
                node.memory.isolate_sent_arrays()
        return begun
