"""Items that come in bundles, several of one bundle at once.

As in `bundles`, but that the main thread calls nothing: it has the items of a bundle called, by
as many threads as there are, and adds what they gave when all have come back, in their order.  So
what is in a batch does not follow from timing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from minipipe.errors import SentinelError
from minipipe.operators.steppers import SKIPPED
from minipipe.protocol.delivery.paths import outputs
from minipipe.protocol.flow.calls import CallLimits
from minipipe.segments.functor import Opened
from minipipe.segments.markers import Sentinel
from minipipe.stream import Turn
from minipipe.stream.arrived import Bundle
from minipipe.worker.bundles import BundleLoop
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.skipping import broken
from minipipe.worker.spec import Task, WorkerSpec
from minipipe.worker.threads import Call, call_threads


def bundle_loop(runner: FunctorRunner, task: Task, opened: Opened, spec: WorkerSpec) -> BundleLoop:
    """What works on bundles in as many threads as were asked for."""
    if task.threads > 1:
        return ThreadedBundleLoop(runner, task, opened, spec)
    return BundleLoop(runner, task, opened)


class ThreadedBundleLoop(BundleLoop):
    """Works off what arrives, a bundle at a time, as many of its items at once as may be."""

    def __init__(self, runner: FunctorRunner, task: Task, opened: Opened, spec: WorkerSpec) -> None:
        super().__init__(runner, task, opened)
        self._limits = CallLimits(task.threads)
        self._threads = call_threads(runner, task, spec)

    def run(self) -> None:
        super().run()
        self._threads.close()

    def _map(self, function: Callable[..., Any], bundle: Bundle, turn: Turn) -> bool:
        node, runner, parcel, path = (
            self._node,
            self._runner,
            turn.parcel,
            outputs(turn.parcel.path),
        )
        calls = [
            Call(function, item, (parcel.origin, number, path), bundle)
            for number, item in zip(bundle.numbers, bundle.items, strict=True)
        ]
        bundle.items.clear()
        waiting = deque(calls)
        left = len(calls)
        while left:
            left -= self._begin_calls(waiting, turn)
            if not left:
                break
            node.block(lambda: self._threads.has_finished or turn.stale)
            for call in self._threads.take():
                self._limits.ended()
                node.time_use.took(int(call.took_s * 1e9))
                left -= call.about is bundle  # else it is of one that a death has made stale
            node.time_use.is_at_work = self._limits.under_way > 0
            node.tend(time.monotonic())
            runner.calls.check()
            if turn.stale:
                return False
        self._add(calls, turn)
        return not turn.stale

    def _begin_calls(self, waiting: deque[Call], turn: Turn) -> int:
        """Has as many items called as may be; how many were set aside instead."""
        node, aside = self._node, 0
        crash_suspects = node.orders.crash_suspects
        while waiting:
            is_suspect = waiting[0].leaf in crash_suspects
            if not self._limits.may_begin(suspect=is_suspect):
                break
            call = waiting.popleft()
            node.page.deaths = 0
            if is_suspect and self._runner.sets_aside(call.leaf[1], turn.parcel):
                aside += 1
                continue
            self._limits.began(suspect=is_suspect)
            node.time_use.is_at_work = True
            self._threads.begin(call)
        return aside

    def _add(self, calls: Sequence[Call], turn: Turn) -> None:
        """What the functor gave for the items of a bundle goes on; what it raised is judged."""
        node, runner, parcel = self._node, self._runner, turn.parcel
        for call in calls:
            (origin, number, path), item, result = call.leaf, call.item, call.result
            if call.error is not None:
                result = runner.again(call.error, self._inlet, parcel, call.function, number, item)
                if turn.stale:
                    return
            if result is Sentinel:
                raise broken(SentinelError(runner.where), number, item, origin, path)
            if (
                result is None
                or result is SKIPPED
                or not self._results.add(number, item, result, parcel)
            ):
                node.page.dropped += 1
            call.item = call.result = None
        if node.writable_after_send:
            node.memory.isolate_sent_arrays()
