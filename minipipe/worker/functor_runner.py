"""What every worker's main thread needs: to call the functor, to wait, to end.

What it does with items is in `source`, `line` (one stream in, one out: the quick way) and
`general` (everything else).
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import cloudpickle

from minipipe.codec import Unreadable
from minipipe.errors import ItemTypeError, UnreadableItemError
from minipipe.process.describe import text_of
from minipipe.protocol.delivery.paths import Outputs, outputs
from minipipe.protocol.run.thinning import EverRarer
from minipipe.stream import Inlet, Node, Outlet, Role, StopRun, Turn, wire
from minipipe.stream.arrived import Arrived
from minipipe.stream.node import WAIT_S
from minipipe.stream.page import ITEM_WORD, OUTSIDE
from minipipe.worker.failure import Failure, capture, is_read_only
from minipipe.worker.poll_interval import PollInterval
from minipipe.worker.service_thread import ServiceThread
from minipipe.worker.skipped_items import DeadLetterWriter
from minipipe.worker.work_item import WorkItem

GENERATED = object()  # in place of the item, where a generator raised instead of yielding one
CALLING, SENDING = "its functor", "sending what its functor gave"
SKIPPED = object()  # in place of a result: the functor raised what is to be ignored


class Broken(BaseException):
    """The functor raised; carries what to tell.  For the worker's own use."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class FunctorRunner:
    """Calls one segment's functor, and keeps node and service thread out of its way."""

    def __init__(
        self,
        node: Node,
        service_thread: ServiceThread,
        ignored: tuple[type[BaseException], ...],
        where: str,
    ) -> None:
        self.node = node
        self._orders = node.orders
        self.ignored = ignored
        self.tolerates = False
        self.dead_letters = DeadLetterWriter(node, None, "", "", {}, "")
        self.where = where
        self.interruptible = True  # a stop may reach into the functor (not into local_term)
        self.leave: Callable[[], object] = lambda: None
        self._pid = os.getpid()
        self._told_of_copies = False
        self._without_letter = EverRarer()
        self.service_count = 0  # what `take_back` gave last
        self.service_thread = service_thread
        self.outlets = list(node.outlets.values())
        self.poll_interval = PollInterval()

    # ------------------------------------------------------------ the functor
    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls the user's code, outside of any item; the service thread serves meanwhile.

        May raise anything, and StopRun at any moment of the call.
        """
        words = self.node.page.words
        if not self.service_thread.armed:
            self.service_thread.arm()
        try:
            words[ITEM_WORD] = OUTSIDE
            return function(*args)
        finally:
            words[ITEM_WORD] = 0
            self.service_count = self.node.take_back()

    def call_at(self, number: int, function: Callable[..., Any], *args: Any) -> Any:
        """Calls the functor at the item of this number; then sees what the service thread has met.

        The general way, for an item at a time.  What the functor raises passes through, with
        the word that shows where the main thread is still set: `after` clears it.
        """
        node = self.node
        if not self.service_thread.armed:
            self.service_thread.arm()
        node.page.words[ITEM_WORD] = number + 1
        result = function(*args)
        node.page.words[ITEM_WORD] = 0
        if node.service_count != self.service_count:
            self.service_count = node.take_back()
            self.check()
            for outlet in self.outlets:
                outlet.reconsider()
        return result

    def sets_aside(self, number: int, parcel: Arrived) -> bool:
        """Whether an item is not to be tried again, as two workers have died of it.

        Of one that has killed one worker, what it is is kept, should this one die of it, too.
        """
        item = (parcel.origin, number, outputs(parcel.path))
        deaths = self._orders.crash_suspects.get(item, 0)
        self.node.page.deaths = deaths
        if deaths == 1:
            self.dead_letters.suspect(number, parcel)
        return deaths > 1

    def come_back(self) -> None:
        """The main thread is in no functor, however it left the last one.

        (A stop is raised between any two bytecodes, also where the word is about to be cleared.)
        """
        self.node.page.words[ITEM_WORD] = 0
        self.service_count = self.node.take_back()

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
        """Raises StopRun if the run is to end, and what the service thread met."""
        if self.service_thread.failure is not None:
            raise self.service_thread.failure
        if self._orders.stopped is not None:
            raise StopRun

    def after(
        self,
        error: BaseException,
        number: int | None,
        item: Any,
        origin: int,
        parcel: Arrived | None = None,
        doing: str = CALLING,
    ) -> None:
        """What an exception of the functor comes to: skipped, or the end.

        Args:
            parcel: what the item came in, if it is the functor's only argument.
            doing: during what it was raised.
        """
        self.leave_if_forked(error)
        self.come_back()
        if isinstance(error, StopRun):
            raise error
        path = () if parcel is None else outputs(parcel.path)
        if isinstance(item, Unreadable):
            doing = f"unpickling what came from {self._feeders}"
        ignored = isinstance(error, self.ignored) or (
            # Of what went wrong on the way in or out the true reason is the cause.
            isinstance(error, ItemTypeError | UnreadableItemError)
            and isinstance(error.__cause__, self.ignored)
        )
        there_is_one = number is not None and item is not GENERATED and item is not None
        lettered = (
            there_is_one and self.dead_letters.wanted and (doing != SENDING or parcel is not None)
        )
        if not ignored and not (self.tolerates and isinstance(error, Exception)):
            broken = self.broken(error, number, item, origin, path, doing)
            if lettered and isinstance(error, Exception) and not isinstance(item, Unreadable):
                self._write_last_letter(broken.failure, item, parcel)
            raise broken
        skips = self.node.skips
        sampling = skips.ignored if ignored else skips.failures
        in_full = sampling.picks(time.monotonic()) or item is GENERATED
        if lettered or (in_full and not ignored):
            about: dict[str, Any] = {"origin": origin, "number": number, "item": item, "path": path}
            failure = capture(error, doing, raised=in_full and not ignored, **about)
            if lettered and isinstance(item, Unreadable):
                self._tell_of_no_letter(number)
            elif lettered:
                self._write_letter(failure, item, parcel)
        if not ignored:
            # What came in no parcel is never done again, so each time it counts.
            skips.fail(origin, None if parcel is None else number, path)
            if in_full:
                self.node.reach(number)
                self.node.report_skips(failure=cloudpickle.dumps(failure))
            return
        skips.ignore()
        if in_full:
            at = f", branch {'.'.join(map(str, path))}" if path else ""
            skipped = "this" if number is None else f"item {number}{at}"
            said = f"{type(error).__name__}: {text_of(error)}"
            if item is GENERATED:  # not one of many
                ends = "was skipped and the stream ends, as a generator cannot go on"
                text = f"{self.where}: {skipped} {ends}: {said}"
                self.node.report(wire.LOG, logging.WARNING, text)
            else:
                self.node.report_skips(f"{self.where}: {skipped} was skipped: {said}")

    def _tell_of_no_letter(self, number: int | None) -> None:
        self._without_letter.more(1)
        if self._without_letter.is_due():
            said = f"{self.where}: no dead letter of item {number}, which cannot be unpickled"
            text = f"{said}{self._without_letter.so_far}"
            self.node.report(wire.LOG, logging.WARNING, text)

    @property
    def _feeders(self) -> str:
        return " and ".join(repr(inlet.spec.feeders) for inlet in self.node.inlets.values())

    def not_sent(
        self,
        error: Exception,
        number: int | None,
        item: Any,
        origin: int,
        parcel: Arrived | None = None,
    ) -> None:
        """What it comes to that something cannot be sent: skipped, or the end.

        Args:
            item: what came in, and what a dead letter holds, as it can be written and tried again;
                of a Source, what cannot be sent.
            parcel: what that came in; None: there will be no letter.
        """
        if not isinstance(error, ItemTypeError):
            path = () if parcel is None else outputs(parcel.path)
            raise self.broken(error, number, item, origin, path, SENDING) from error
        self.after(error, number, item, origin, parcel, SENDING)

    def _write_last_letter(self, failure: Failure, item: Any, parcel: Arrived | None) -> None:
        """Writes the item that ends the run, which is told also if that fails."""
        try:
            self._write_letter(failure, item, parcel)
        except Broken as unwritten:
            said = (
                f"{self.where}: no dead letter of item {failure.number}: {unwritten.failure.text}"
            )
            self.node.report(wire.LOG, logging.WARNING, said)

    def _write_letter(self, failure: Failure, item: Any, parcel: Arrived | None) -> None:
        try:
            self.dead_letters.write(failure, item, parcel)
        except Exception as error:  # a full disk; or pickling, which runs the user's code
            doing = f"writing the dead letter of an item that failed ({failure.type_name})"
            about = {"origin": failure.origin, "number": failure.number, "path": failure.path}
            raise Broken(capture(error, doing, item=item, **about)) from error  # type: ignore[arg-type]

    def again(
        self,
        error: BaseException,
        inlet: Inlet,
        parcel: Arrived,
        function: Callable[..., Any],
        number: int,
        item: Any,
    ) -> Any:
        """What the functor gives at a second try, if all it lacked was an array to write to.

        (It was shown what others may see, too, so it could not write there.)  Else what `after`
        comes to, and SKIPPED if it goes on.
        """
        turn = inlet.turn
        only_looked = inlet.access == "read" and inlet.spec.role is not Role.STATEFUL
        if turn is None or not (only_looked and parcel.leases and is_read_only(error)):
            self.after(error, number, item, parcel.origin, parcel)
            return SKIPPED
        self.come_back()
        inlet.access = "private"  # from the next parcel on
        text = (
            f"{self.where} writes to the arrays that it gets, so from now on they are private "
            f"copies; writable=True says so from the start ({type(error).__name__}: {error})"
        )
        if not self._told_of_copies:
            self._told_of_copies = True
            self.node.report(wire.LOG, logging.WARNING, text)
        item = self.node.parcel_decoder.decode(parcel, "private")[turn.numbers.index(number)]
        try:
            return self.call_at(number, function, item)
        except BaseException as second:
            self.after(second, number, item, parcel.origin, parcel)
            return SKIPPED

    @staticmethod
    def broken(
        error: BaseException,
        number: int | None,
        item: Any,
        origin: int,
        path: Outputs = (),
        doing: str = CALLING,
    ) -> Broken:
        about: dict[str, Any] = {"origin": origin, "number": number, "item": item, "path": path}
        return Broken(capture(error, doing, **about))

    def broken_at(self, error: BaseException, taken: WorkItem | None) -> Broken:
        """What to raise for an error that came with this item, or outside of any."""
        if taken is None:
            return self.broken(error, None, None, self.node.ident)
        parcel = taken.parcel
        about = (parcel.origin, outputs(parcel.path))
        return self.broken(error, taken.number, taken.shown, *about)

    def wait_for_room(self, outlet: Outlet) -> None:
        """Waits until an item could be added to the outlet, or what it was made of is stale."""
        inlets = list(self.node.inlets.values())
        turn = inlets[0].turn if inlets else None
        probes = self.node.probes
        probes.blocked = (outlet,)
        try:
            self.node.block(lambda: outlet.ready or (turn is not None and turn.stale))
        finally:
            probes.blocked = ()

    def wait_for_input(self, until: Callable[[], bool], patience_s: float = WAIT_S) -> None:
        """Waits until `until()`; asks it every `patience_s`, if nothing happens."""
        node = self.node
        node.rest.passive, node.probes.hungry = node.wiring.in_loop, True
        try:
            node.block(until, wait_s=patience_s)
        finally:
            node.rest.passive = node.probes.hungry = False

    def next_batch(self, inlet: Inlet) -> Turn:
        """The oldest parcel that waits, decoded: it is in work from now on.

        Raises:
            Broken: a class of the user's did not accept what it had given.
        """
        try:
            return inlet.next_batch()
        except Exception as error:  # unpickling runs code of the user's classes
            parcel = inlet.queue[0]
            first = parcel.runs[0][0]
            doing = f"unpacking items from {inlet.spec.feeders!r}"
            path = outputs(parcel.path)
            about: dict[str, Any] = {"origin": parcel.origin, "number": first, "path": path}
            failure = capture(error, doing, item="...", **about)
            raise Broken(failure) from error

    def close(self) -> None:
        """Sends what waits; when all is settled, tells the receivers that this was all."""
        senders = [outlet for outlet in self.outlets if outlet.ledger is not None]
        if not senders:
            return
        for outlet in senders:
            outlet.flush()
        self.node.probes.blocked = senders  # by what waits there, the end is held up, too
        self.node.block(lambda: all(outlet.settled for outlet in senders))
        self.node.probes.blocked = ()
        for outlet in senders:
            self.node.peers.close_region(outlet)
        self.node.flush(time.monotonic(), idle=True)
