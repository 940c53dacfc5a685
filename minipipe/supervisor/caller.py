"""The caller's loop: the last segment's output, item by item, in the caller's own process.

Several threads may read one loop, as loaders that read ahead do: each item goes to one of them.
A lock for each item would cost a tenth of what taking it costs, so the first thread that reads
takes none.  When another one comes, it says so (`reader`), and waits until the first is out of its
turn (`at_work`); from then on all of them take a lock.  The first one says that it is at work, then
looks whose loop it is; the other one does it the other way round, so one of them always sees the
other.
"""

from __future__ import annotations

import threading
import time
from threading import get_ident
from typing import Any

from minipipe.codec import Unreadable
from minipipe.errors import LifecycleError
from minipipe.protocol.delivery.paths import Outputs, outputs
from minipipe.protocol.run.vital_signs import Activity
from minipipe.stream import Inlet, Node, PassLeft, StopRun, records
from minipipe.stream.arrived import Arrived
from minipipe.stream.duties import is_slow
from minipipe.stream.page import OUTSIDE
from minipipe.supervisor.taken import Taken
from minipipe.worker.service_thread import ServiceThread


class UndecodableError(Exception):
    """What arrived could not be made into items again; the cause says why.

    Args:
        origin: the worker that numbered the item.
        number: of the item, or of the first in its parcel.
        path: which outputs it went through.
        feeders: the names of the segments that it came from.
    """

    def __init__(self, origin: int, number: int, path: Outputs, feeders: str) -> None:
        super().__init__(origin, number, path, feeders)
        self.path = path
        self.origin = origin
        self.number = number
        self.feeders = feeders


_BY = "by a signal handler, or a finalizer"


class NestedError(LifecycleError):
    """The next item was asked for while this very thread is about to get one.

    Attributes:
        is_told: whoever asked has been told.
    """

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.is_told = False

    def __str__(self) -> str:
        return f"the next item was asked for while this thread is about to get one ({self.args[0]})"


NOBODY, ALL = 0, -1  # in the place of the one thread that reads
SHOWN_S = 50e-6  # what the loop does in less is not written down one by one
LOOK_S = 0.001  # how often another thread looks whether that one is out of its turn


class Output:
    """Reads the open end of a run; the service thread serves between the items.

    Attributes:
        readers: the threads that have asked for items, by their idents.
        taken: which items of this pass they got.
    """

    def __init__(
        self,
        node: Node,
        service_thread: ServiceThread,
        taken: Taken,
        *,
        is_persistent: bool = False,
    ) -> None:
        self._node = node
        self._orders = node.orders
        self._service_thread = service_thread
        self._inlet: Inlet = next(iter(node.inlets.values()))
        self._position = 0  # in the parcel in work
        self._handed_s = 0.0
        self._busy_s = 0.0  # that the loop's body took for the items of the parcel in work,
        self._shown_s = 0.0  # and for those of them that are written down one by one
        self._spans = node.time_use.spans
        self._booked_ns = node.time_use.since_ns  # when that was put down as busy
        self.exhausted = False
        self.taken = taken
        self.at_end = False  # all items of this pass were taken
        self._is_persistent = is_persistent
        self._is_new = False  # this pass: what is here of the one before is for nobody
        self._pass = 0
        self.readers: dict[int, threading.Thread] = {}
        self._reader = self._first = NOBODY
        self._at_work = False  # the first thread is, without the lock
        self._in_turn = False  # a thread is that has taken it
        self._lock = threading.RLock()  # a nested call has to come as far as to be refused

    def begin(self, pass_: int) -> None:
        """The next loop reads this pass."""
        with self._lock:
            self._pass, self._is_new, self.exhausted = pass_, True, False
            self.at_end, self._position = False, 0
            self.taken.begin_pass()
            self.readers = {}
            self._reader = self._first = NOBODY

    @property
    def is_read_here(self) -> bool:
        """Whether a loop over it is at work, and not at its end, in this thread alone."""
        here, readers = get_ident(), self.readers.copy()
        others = (reader for ident, reader in readers.items() if ident != here)
        return not self.exhausted and here in readers and not any(o.is_alive() for o in others)

    @property
    def is_ready(self) -> bool:
        """Whether the next item has arrived, or the end: as far as it was looked, without a lock.

        While the loop's body is long at work, the service thread takes in what comes.
        """
        inlet, turn = self._inlet, self._inlet.turn
        in_work = turn is not None and self._position < turn.parcel.count
        return in_work or bool(inlet.queue) or self.exhausted

    @property
    def position(self) -> int:
        """How many items of the parcel in work were taken."""
        return self._position

    def keep_private(self) -> None:
        """What is decoded from now on lies in private mappings, where its address tells its slot.

        (An array says whose memory it is over, also in memory that others see; a tensor does not.)
        """
        self._inlet.access = "private"

    def take(self) -> Any:
        """The next item.

        Raises:
            StopIteration: there are no more.
            StopRun: the run ended before its stream did.
            PassLeft: the pass was left, by another thread.
            UndecodableError: an item's class did not accept what it had given.
            NestedError: this thread is about to get one.
        """
        if self.exhausted:
            raise StopIteration
        ident = get_ident()
        if self._reader != ident:
            return self._take_in_turn(ident)
        if self._at_work:
            raise NestedError(_BY)
        self._at_work = True
        try:
            if self._reader == ident:
                return self._take()
        finally:
            self._at_work = False
        return self._take_in_turn(ident)  # another one came just now

    def _take_in_turn(self, ident: int) -> Any:
        """Does the same where several threads read, or the first one begins to."""
        self.readers[ident] = threading.current_thread()
        if self._at_work and ident == self._first:  # which another one waits for, with the lock
            raise NestedError(_BY)
        with self._lock:
            if self._in_turn:
                raise NestedError(_BY)
            self._in_turn = True
            try:
                if self._reader == NOBODY:
                    self._reader = self._first = ident
                elif self._reader != ident:
                    self._reader = ALL
                while self._at_work:  # the first one is still at it, without the lock
                    time.sleep(LOOK_S)
                if self.exhausted:
                    raise StopIteration
                return self._take()
            finally:
                self._in_turn = False

    def _take(self) -> Any:
        node = self._node
        handover = node.handover
        in_user_code = OUTSIDE
        try:
            handover.leave()  # the user's code: the service thread keeps out
            if self._service_thread.failure is not None:
                raise self._service_thread.failure
            if self._orders.stopped is not None:
                raise StopRun
            if self._is_new:
                self._begin(node, self._inlet)
            while True:
                item, in_user_code = self._next(node, self._inlet)
                if not self.taken.resumes or not self.taken.leaves_out(self._position - 1):
                    return item
                self._handed_s = time.monotonic()
        finally:
            self._handed_s = now_s = time.monotonic()
            self._service_thread.watch(now_s, node.duties.due_s())
            handover.enter(in_user_code)

    def _begin(self, node: Node, inlet: Inlet) -> None:
        """Waits until this is the node's pass, as one that was left may not be over here."""
        orders = self._orders
        while orders.pass_ < self._pass:
            try:
                node.block(lambda: orders.pass_ >= self._pass)
            except PassLeft:
                orders.left = False
        orders.left = self._is_new = False
        if inlet.turn is not None:
            inlet.abandon()

    def _end(self, node: Node) -> None:
        """There are no more, in this pass."""
        self.exhausted = self.at_end = True
        if self._is_persistent:
            pass_ = self._orders.pass_
            node.passes.begin(pass_ + 1)
            node.publish()
            node.report(records.PassDone(pass_))
            return
        node.time_use.end()
        node.publish()
        node.report(records.Done())

    def _next(self, node: Node, inlet: Inlet) -> tuple[Any, int]:
        now_s = time.monotonic()
        turn = inlet.turn
        if turn is not None:
            turn.reached(self._position)
            body_s = now_s - self._handed_s
            inlet.pace.observe(1, body_s)
            self._busy_s += body_s
            if self._spans is not None and body_s >= SHOWN_S:
                self._shown_s += body_s
                item, origin = turn.numbers[self._position - 1] + 1, turn.parcel.origin
                times_ns = int(self._handed_s * 1e9), int(now_s * 1e9)
                self._spans.add(Activity.BUSY, *times_ns, item, origin)
            if self._position == turn.parcel.count:
                inlet.end()
                turn = None
                self._book_busy()
        slow = is_slow(inlet.pace.service_time_s)
        if not slow:
            node.tend(now_s)
        if turn is None:
            if not inlet.queue:
                node.block(lambda: bool(inlet.queue) or inlet.ended)
                if not inlet.queue:
                    self._end(node)
                    raise StopIteration
            try:
                turn = inlet.next_batch()
            except Exception as error:  # unpickling runs code of the user's classes
                parcel = inlet.queue[0]
                raise _undecodable(parcel, parcel.runs[0][0], inlet) from error
            self.taken.begin(turn)
            self._position = 0
        position = self._position
        item, turn.items[position] = turn.items[position], None  # it belongs to the loop now
        self._position = turn.begun = position + 1
        turn.in_functor = True
        number = turn.numbers[position]
        if slow:  # the next item may come while the loop is at this one
            node.tend_before_call(number, now_s, inlet.pace)
        if type(item) is Unreadable:
            raise _undecodable(turn.parcel, number, inlet) from item.error
        return item, number + 1

    def _book_busy(self) -> None:
        """What the loop's body took was not MiniPipe's own time."""
        time_use = self._node.time_use
        time_use.own_ns()
        time_use.was_busy(int(self._busy_s * 1e9), self._booked_ns, int(self._shown_s * 1e9))
        self._busy_s = self._shown_s = 0.0
        self._booked_ns = time_use.since_ns


def _undecodable(parcel: Arrived, number: int, inlet: Inlet) -> UndecodableError:
    return UndecodableError(parcel.origin, number, outputs(parcel.path), inlet.spec.feeders)
