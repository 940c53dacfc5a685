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
from minipipe.stream import Inlet, Node, StopRun, records
from minipipe.stream.arrived import Arrived
from minipipe.stream.page import OUTSIDE
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
LOOK_S = 0.001  # how often another thread looks whether that one is out of its turn


class Output:
    """Reads the open end of a run; the service thread serves between the items.

    Attributes:
        readers: the threads that have asked for items, by their idents.
    """

    def __init__(self, node: Node, service_thread: ServiceThread) -> None:
        self._node = node
        self._orders = node.orders
        self._service_thread = service_thread
        self._inlet: Inlet = next(iter(node.inlets.values()))
        self._position = 0  # in the parcel in work
        self._handed_s = 0.0
        self.exhausted = False
        self.readers: dict[int, threading.Thread] = {}
        self._reader = self._first = NOBODY
        self._at_work = False  # the first thread is, without the lock
        self._in_turn = False  # a thread is that has taken it
        self._lock = threading.RLock()  # a nested call has to come as far as to be refused

    @property
    def is_read_here(self) -> bool:
        """Whether a loop over it is at work, and not at its end, in this thread alone."""
        here, readers = get_ident(), self.readers.copy()
        others = (reader for ident, reader in readers.items() if ident != here)
        return not self.exhausted and here in readers and not any(o.is_alive() for o in others)

    def take(self) -> Any:
        """The next item.

        Raises:
            StopIteration: there are no more.
            StopRun: the run ended before its stream did.
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
            item, in_user_code = self._next(node, self._inlet)
            return item
        finally:
            handover.enter(in_user_code)
            self._handed_s = time.monotonic()
            if not self._service_thread.armed:
                self._service_thread.arm()

    def _next(self, node: Node, inlet: Inlet) -> tuple[Any, int]:
        now_s = time.monotonic()
        turn = inlet.turn
        if turn is not None:
            turn.reached(self._position)
            inlet.pace.observe(1, now_s - self._handed_s)
            if self._position == turn.parcel.count:
                inlet.end()
                turn = None
        node.tend(now_s)
        if turn is None:
            if not inlet.queue:
                node.block(lambda: bool(inlet.queue) or inlet.ended)
                if not inlet.queue:
                    self.exhausted = True
                    node.publish()
                    node.report(records.Done())
                    raise StopIteration
            try:
                turn = inlet.next_batch()
            except Exception as error:  # unpickling runs code of the user's classes
                parcel = inlet.queue[0]
                raise _undecodable(parcel, parcel.runs[0][0], inlet) from error
            self._position = 0
        position = self._position
        item, turn.items[position] = turn.items[position], None  # it belongs to the loop now
        self._position = position + 1
        turn.at(turn.numbers[position])
        if type(item) is Unreadable:
            raise _undecodable(turn.parcel, turn.numbers[position], inlet) from item.error
        return item, turn.numbers[position] + 1


def _undecodable(parcel: Arrived, number: int, inlet: Inlet) -> UndecodableError:
    return UndecodableError(parcel.origin, number, outputs(parcel.path), inlet.spec.feeders)
