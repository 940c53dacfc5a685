"""The way with several threads: one stream in, one out, several items at once.

The main thread does all but the calls: it takes parcels up, has their items called, and sends what
comes of them, in the order in which it comes.  It is never in user code, so the service thread has
nothing to do.  Which call may begin is decided in `protocol.flow.calls`.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Any

from minipipe.codec import readable
from minipipe.errors import SentinelError
from minipipe.protocol.delivery.paths import outputs
from minipipe.protocol.flow.calls import CallLimits
from minipipe.segments.functor import Opened
from minipipe.segments.markers import Sentinel
from minipipe.stream import Inlet, Turn, records
from minipipe.stream.arrived import Arrived
from minipipe.worker.failure import is_read_only
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.skipping import broken
from minipipe.worker.spec import Task, WorkerSpec
from minipipe.worker.threads import Call, call_threads


class _TakenUp:
    """A parcel whose items are in work, or wait for that."""

    def __init__(self, turn: Turn) -> None:
        self.parcel: Arrived = turn.parcel
        self.access = turn.access
        self.left = turn.parcel.count


class ThreadedLoop:
    """Works off what arrives, as many items at once as there are threads."""

    def __init__(self, runner: FunctorRunner, task: Task, opened: Opened, spec: WorkerSpec) -> None:
        self._runner = runner
        self._node = runner.node
        self._function = opened.call
        self._inlet: Inlet = next(iter(runner.node.inlets.values()))
        self._outlet = runner.outlets[0]
        self._count = task.threads
        self._limits = CallLimits(task.threads)
        self._waiting: deque[Call] = deque()  # taken up, and not begun
        self._threads = call_threads(runner, task, spec)
        self._told_of_copies = False

    def run(self) -> None:
        """Works off what arrives, until there will be no more."""
        node, runner = self._node, self._runner
        while True:
            self._begin_calls()
            if not self._limits.under_way and not self._waiting:
                runner.wait_for_input(lambda: self._inlet.ready or node.orders.leaving)
                if not self._inlet.ready:
                    break
                continue
            node.block(lambda: self._threads.has_finished or self._may_begin)
            for call in self._threads.take():
                self._limits.ended()
                self._node.time_use.is_at_work = self._limits.under_way > 0
                self._came_back(call, call.about)
            node.tend(time.monotonic())
            runner.calls.check()
        self._threads.close()
        runner.close()

    def leave_pass(self) -> None:
        """It is stateless, so it is in no pass."""

    # ------------------------------------------------------------------- to the functor
    @property
    def _may_begin(self) -> bool:
        """Whether a call could begin now, or an item be found out to be for nobody."""
        if not self._waiting:
            return self._inlet.ready and not self._limits.is_full
        call = self._waiting[0]
        return self._is_stale(call) or self._limits.may_begin(suspect=self._is_suspect(call))

    def _begin_calls(self) -> None:
        """Has as many items called as may be, the oldest first."""
        runner = self._runner
        while self._may_begin:
            if not self._waiting:
                self._take_up()
                continue
            call = self._waiting.popleft()
            is_suspect = self._is_suspect(call)
            taken: _TakenUp = call.about
            self._node.page.deaths = 0
            if self._is_stale(call):
                self._let_go(taken)
            elif is_suspect and runner.sets_aside(call.leaf[1], taken.parcel):
                self._dropped(call)
            else:
                self._limits.began(suspect=is_suspect)
                self._node.time_use.is_at_work = True
                self._threads.begin(call)

    def _take_up(self) -> None:
        """Takes the items of the oldest parcel; what becomes of them is told one by one."""
        inlet = self._inlet
        turn = self._runner.next_batch(inlet)
        parcel, taken = turn.parcel, _TakenUp(turn)
        function = readable(self._function) if parcel.unreadable else self._function
        path = outputs(parcel.path)
        for number, item in zip(turn.numbers, turn.items, strict=True):
            leaf = (parcel.origin, number, path)
            self._waiting.append(Call(function, item, leaf, taken))
        turn.items = []
        turn.reached(parcel.count)
        inlet.end(keeps=True)

    def _is_suspect(self, call: Call) -> bool:
        return call.leaf in self._node.orders.crash_suspects

    def _is_stale(self, call: Call) -> bool:
        """Whether a worker has died meanwhile, so that all of this will be sent again."""
        epoch: int = call.about.parcel.epoch
        return epoch < self._inlet.epoch

    # --------------------------------------------------------------- from the functor
    def _came_back(self, call: Call, taken: _TakenUp) -> None:
        """Sends what an item has become, or does what follows if that is nothing."""
        self._inlet.pace.observe(1, call.took_s / self._count)
        self._node.time_use.took(int(call.took_s * 1e9))
        error, result, call.error, call.result = call.error, call.result, None, None
        if self._is_stale(call):
            self._let_go(taken)
        elif error is not None:
            self._failed(call, taken, error)
        elif result is None:
            self._dropped(call)
        elif result is Sentinel:
            origin, number, path = call.leaf
            mistake = SentinelError(self._runner.where)
            raise broken(mistake, number, call.item, origin, path)
        else:
            self._send(call, taken, result)

    def _send(self, call: Call, taken: _TakenUp, result: Any) -> None:
        runner, outlet, parcel = self._runner, self._outlet, taken.parcel
        if not runner.set_origin(outlet, parcel, parcel.path, parcel.done):
            self._let_go(taken)
            return
        if not outlet.ready:
            runner.wait_for_room(outlet)
            if self._is_stale(call):
                self._let_go(taken)
                return
        number = call.leaf[1]
        try:
            outlet.add(result, number)
        except Exception as error:  # pickling runs code of the user's classes
            runner.not_sent(error, number, call.item, parcel.origin, parcel)
            self._dropped(call)
            return
        now_s = time.monotonic()
        outlet.added(now_s - call.took_s, now_s, 1)
        self._let_go(taken)
        if self._node.writable_after_send:
            result = call.item = None
            self._node.memory.isolate_sent_arrays()

    def _failed(self, call: Call, taken: _TakenUp, error: BaseException) -> None:
        """Once more with a copy, if all it lacked was an array to write to; else it is judged."""
        runner, parcel = self._runner, taken.parcel
        number = call.leaf[1]
        only_looked = taken.access == "read" and not call.is_second
        if only_looked and parcel.leases and is_read_only(error):
            self._inlet.access = "private"  # from the next parcel on
            call.is_second = True
            if not self._told_of_copies:
                self._told_of_copies = True
                text = runner.told_of_copies(error)
                self._node.report(records.Log(logging.WARNING, text))
            call.item = self._node.parcel_decoder.original(parcel, number)
            self._waiting.appendleft(call)
            return
        runner.after(error, number, call.item, parcel.origin, parcel)
        self._dropped(call)

    def _dropped(self, call: Call) -> None:
        """Nothing comes of an item: its origin hears of that."""
        taken: _TakenUp = call.about
        parcel, number = taken.parcel, call.leaf[1]
        self._node.page.dropped += 1
        self._node.feedback.drop_at(self._inlet, number, parcel, parcel.path)
        self._let_go(taken)

    def _let_go(self, taken: _TakenUp) -> None:
        taken.left -= 1
        if not taken.left:
            taken.parcel.release()
