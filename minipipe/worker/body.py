"""What the main thread of a worker does: take items, call the functor, put what it gives."""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from types import GeneratorType
from typing import Any

from minipipe.functor import Opened
from minipipe.segment import Sentinel
from minipipe.stream import Inlet, Node, Outlet, Role, StopRun, Turn, wire
from minipipe.stream.outlet import FAST
from minipipe.stream.page import ITEM_WORD, OUTSIDE
from minipipe.worker.attendant import Attendant
from minipipe.worker.failure import Failure, capture
from minipipe.worker.stride import Stride

# A generator is finished after it raised; `iter(object with __getitem__)` would ask for the same
# index for ever.  Other iterators may go on after an ignored exception.
_ENDED_BY_ERRORS = (GeneratorType, type(iter(type("_", (), {"__getitem__": None})())))


class Broken(BaseException):
    """The functor raised; carries what to tell.  For the worker's own use."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class Body:
    """Runs one segment's functor over a node's streams."""

    def __init__(
        self,
        node: Node,
        attendant: Attendant,
        ignored: tuple[type[BaseException], ...],
        where: str,
    ) -> None:
        self.node = node
        self.ignored = ignored
        self.where = where
        self.interruptible = True  # a stop may reach into the functor (not into local_term)
        self.leave: Callable[[], object] = lambda: None
        self._pid = os.getpid()
        self._attended = 0  # what `rejoin` gave last
        self._attendant = attendant
        self._inlet: Inlet | None = next(iter(node.inlets.values()), None)
        self._outlet: Outlet | None = next(iter(node.outlets.values()), None)
        self._stride = Stride()

    # ------------------------------------------------------------ the functor
    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls the user's code, outside of any item; the attendant serves meanwhile.

        May raise anything, and StopRun at any moment of the call.
        """
        words = self.node.page.words
        if not self._attendant.armed:
            self._attendant.arm()
        try:
            words[ITEM_WORD] = OUTSIDE
            return function(*args)
        finally:
            words[ITEM_WORD] = 0
            self._attended = self.node.rejoin()

    def come_back(self) -> None:
        """The main thread is in no functor, however it left the last one.

        (A stop is raised between any two bytecodes, also where the word is about to be cleared.)
        """
        self.node.page.words[ITEM_WORD] = 0
        self._attended = self.node.rejoin()

    def leave_if_forked(self, error: BaseException) -> None:
        """Ends a child that the functor forked and that comes out of the functor: it is no worker.

        (Its exception, or `sys.exit`, is its own; the worker's sockets are the worker's.)
        """
        if os.getpid() == self._pid:
            return
        code = 1
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        else:
            traceback.print_exception(error)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)

    def check(self) -> None:
        """Raises StopRun if the run is to end, and what the attendant met."""
        if self._attendant.failure is not None:
            raise self._attendant.failure
        if self.node.stopped is not None:
            raise StopRun

    def _after(self, error: BaseException, number: int, item: Any, origin: int) -> None:
        """What an exception of the functor comes to: skipped, or the end."""
        self.leave_if_forked(error)
        self.come_back()
        if isinstance(error, StopRun):
            raise error
        if not isinstance(error, self.ignored):
            raise self._broken(error, number, item, origin)
        ends = " and the stream ends, as a generator cannot go on" if item is _GENERATED else ""
        text = f"{self.where}: item {number} was skipped{ends}: {type(error).__name__}: {error}"
        self.node.report(wire.LOG, logging.WARNING, text)

    @staticmethod
    def _broken(error: BaseException, number: int | None, item: Any, origin: int) -> Broken:
        return Broken(capture(error, "its functor", origin=origin, number=number, item=item))

    def _wait_for_room(self, outlet: Outlet) -> None:
        self.node.block(lambda: outlet.ready)

    # --------------------------------------------------------------- a source
    def run_source(self, opened: Opened) -> None:
        """Yields all items, then waits until every one is settled and closes the region."""
        node, outlet = self.node, self._outlet
        assert outlet is not None
        try:
            iterator = self.call(opened.iterate, self.where)
        except StopRun:
            raise
        except BaseException as error:
            raise self._broken(error, None, None, node.ident) from error
        if isinstance(iterator, GeneratorType):
            self.leave = iterator.close  # what is open in it is closed also after a stop
        stride = self._stride
        goes_on = True
        while goes_on and not node.draining:
            if not outlet.ready:
                self._wait_for_room(outlet)
            began_s = time.monotonic()
            before, attended = outlet.next_number, self._attended
            goes_on = self._yield_some(iterator, outlet, min(stride.items, outlet.room))
            now_s = time.monotonic()
            outlet.added(began_s, now_s, outlet.next_number - before)
            stride.took(now_s - began_s)
            if self._attended == attended:
                node.tend(now_s)  # else the attendant has just done it
            self.check()
        self._close()

    def _yield_some(self, iterator: Iterator[Any], outlet: Outlet, count: int) -> bool:
        """Takes up to `count` items from the iterator; False at its end.

        The hot loop of a Source: what is in it is paid for every item.
        """
        node, attendant = self.node, self._attendant
        words, attended = node.page.words, self._attended
        take, append = iterator.__next__, outlet.tokens.append
        number = outlet.next_number
        if not attendant.armed:
            attendant.arm()
        for _ in range(count):
            words[ITEM_WORD] = number + 1
            try:
                item = take()
            except StopIteration:
                self.come_back()
                return False
            except BaseException as error:
                ended = isinstance(iterator, _ENDED_BY_ERRORS)
                self._after(error, number, _GENERATED if ended else None, node.ident)
                node.page.dropped += 1
                return not ended
            words[ITEM_WORD] = 0
            if node.attended != attended:
                attended = self._attended = node.rejoin()
                self.check()
                outlet.reconsider()
                if not outlet.ready:
                    self._wait_for_room(outlet)
                if not attendant.armed:
                    attendant.arm()
                append = outlet.tokens.append
                count = 0
            if type(item) in FAST:
                append(item)
            elif item is None:
                node.page.dropped += 1
                continue
            elif item is Sentinel:
                return False
            else:
                try:
                    outlet.add(item)
                except Exception as error:  # pickling runs code of the user's classes
                    raise self._broken(error, number, item, node.ident) from error
            if not count:
                break  # the attendant was here: who gets the next one is to be chosen again
            number += 1
        return True

    def _close(self) -> None:
        """Sends what waits; when all is settled, tells the receivers that this was all."""
        outlet = self._outlet
        if outlet is None or outlet.ledger is None:
            return
        ledger = outlet.ledger
        outlet.flush()
        self.node.block(lambda: ledger.empty)
        self.node.close_region(outlet)
        self.node.flush(time.monotonic(), idle=True)

    # ---------------------------------------------------- a transform or sink
    def run_items(self, opened: Opened) -> None:
        """Works off what arrives, until there will be no more."""
        node, inlet, outlet = self.node, self._inlet, self._outlet
        assert inlet is not None
        relays = inlet.spec.role is Role.RELAY
        while True:
            if not inlet.queue:
                node.block(lambda: bool(inlet.queue) or (node.leaving if relays else inlet.ended))
                if not inlet.queue:
                    break
            parcel = inlet.queue[0]
            began_s = time.monotonic()
            try:
                items = node.decode(parcel)
            except Exception as error:  # unpickling runs code of the user's classes
                doing = f"unpacking items from {inlet.spec.name.partition(' -> ')[0]!r}"
                first = parcel.runs[0][0]
                failure = capture(error, doing, origin=parcel.origin, number=first, item="...")
                raise Broken(failure) from error
            turn = inlet.begin(items)
            node.page.origin = parcel.origin
            if outlet is not None and relays:
                outlet.relay(parcel.origin, parcel.epoch, parcel.path)
            now_s = self._work_off(opened.call, inlet, turn, began_s)
            inlet.pace.observe(parcel.count, now_s - began_s)
            node.report_turn(inlet)
            inlet.end()
        self._close()

    def _work_off(
        self, function: Callable[..., Any], inlet: Inlet, turn: Turn, now_s: float
    ) -> float:
        """Calls the functor for each item of a parcel; returns the time afterwards."""
        node, outlet, stride = self.node, self._outlet, self._stride
        begun, count = 0, turn.parcel.count
        while begun < count:
            stop = min(count, begun + stride.items)
            if outlet is not None:
                if not outlet.ready:
                    self._wait_for_room(outlet)
                    now_s = time.monotonic()
                stop = min(stop, begun + outlet.room)
            began_s = now_s
            before = begun
            begun = self._work_some(function, inlet, turn, begun, stop)
            turn.reached(begun)
            now_s = time.monotonic()
            if outlet is not None:
                outlet.added(began_s, now_s, begun - before)
                if begun == count and not inlet.queue:
                    outlet.flush()  # first of all: somebody may be waiting for it
            stride.took(now_s - began_s)
            node.tend(now_s)
            self.check()
        return now_s

    def _work_some(
        self, function: Callable[..., Any], inlet: Inlet, turn: Turn, begun: int, stop: int
    ) -> int:
        """Calls the functor for the items [begun, stop) of a parcel; returns how far it came.

        The hot loop of a Transform or Sink: what is in it is paid for every item.
        """
        node, outlet, attendant = self.node, self._outlet, self._attendant
        words, attended = node.page.words, self._attended
        origin = turn.parcel.origin
        numbered = outlet is not None and outlet.ledger is None
        if not attendant.armed:
            attendant.arm()
        for number, item in zip(turn.numbers[begun:stop], turn.items[begun:stop], strict=True):
            words[ITEM_WORD] = number + 1
            try:
                result = function(item)
            except BaseException as error:
                self._after(error, number, item, origin)
                attended = self._attended
                node.page.dropped += outlet is None
                result = None
            words[ITEM_WORD] = 0
            begun += 1
            if node.attended != attended:
                attended = self._attended = node.rejoin()
                turn.reached(begun)
                self.check()
                if outlet is not None:
                    outlet.reconsider()
                    if not outlet.ready:
                        self._wait_for_room(outlet)
                stop = begun  # who gets the next one is to be chosen again
            if outlet is None:
                pass
            elif result is None:
                node.page.dropped += 1
                if numbered:
                    turn.drops.append(number)
            else:
                if type(result) in FAST:
                    outlet.tokens.append(result)
                else:
                    try:
                        outlet.add(result)
                    except Exception as error:  # pickling runs code of the user's classes
                        raise self._broken(error, number, item, origin) from error
                if numbered:
                    outlet.numbers.append(number)
            if begun >= stop:
                break
        return begun


_GENERATED = object()  # in place of the item, where a generator raised instead of yielding one
