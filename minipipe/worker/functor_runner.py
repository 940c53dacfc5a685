"""What every worker's main thread needs beside its calls: what comes of errors, to wait, to end.

What it does with items is in `source`, `fast_path` (one stream in, one out) and `general`
(everything else); how the functor is called, in `calls`; what is skipped, in `skipping`.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from minipipe.errors import ItemTypeError
from minipipe.errors.cause import because
from minipipe.operators.steppers import SKIPPED
from minipipe.operators.work_item import WorkItem
from minipipe.process.worker_info import WorkerInfo
from minipipe.protocol.delivery.numbering import pass_of
from minipipe.protocol.delivery.paths import Path, outputs
from minipipe.stream import Inlet, Node, Outlet, PassLeft, StopRun, Turn, records
from minipipe.stream.arrived import Arrived, Done
from minipipe.stream.node import WAIT_S
from minipipe.worker.calls import Calls
from minipipe.worker.failure import CLOSING, capture, is_read_only
from minipipe.worker.hooks import Hook
from minipipe.worker.poll_interval import PollInterval
from minipipe.worker.service_thread import ServiceThread
from minipipe.worker.skipping import CALLING, SENDING, Broken, Skipping, broken


class FunctorRunner:
    """Runs one segment's functor: its calls, what comes of failures, and the waits between."""

    def __init__(
        self,
        node: Node,
        service_thread: ServiceThread,
        where: str,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self.node = node
        self._orders = node.orders
        self.skipping = Skipping(node, where)
        self.where = where
        self.interruptible = True  # a stop may reach into the functor (not into local_term)
        self.leave: Callable[[], object] = lambda: None
        self._pid = os.getpid()
        self._told_of_copies = False
        self.service_thread = service_thread
        self.calls = Calls(node, service_thread, hooks)
        self.info: WorkerInfo | None = None  # where passes are to be told of
        self.outlets = list(node.outlets.values())
        self.poll_interval = PollInterval()

    def sets_aside(self, number: int, parcel: Arrived) -> bool:
        """Whether an item is not to be tried again, as two workers have died of it.

        Of one that has killed one worker, what it is is kept, should this one die of it, too.
        """
        item = (parcel.origin, number, outputs(parcel.path))
        deaths = self._orders.crash_suspects.get(item, 0)
        self.node.page.deaths = deaths
        if deaths == 1:
            self.skipping.dead_letters.suspect(number, parcel)
        self.node.page.skipped += deaths > 1
        return deaths > 1

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
        self.node.handover.leave()
        if isinstance(error, StopRun | PassLeft):
            raise error
        self.skipping.judge(error, number, item, origin, parcel, doing)

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
            raise because(broken(error, number, item, origin, path, SENDING), error) from error
        self.after(error, number, item, origin, parcel, SENDING)

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
        only_looked = turn is not None and turn.access == "read"
        only_looked = only_looked and not inlet.is_stateful
        if not (only_looked and parcel.leases and is_read_only(error)):
            self.after(error, number, item, parcel.origin, parcel)
            return SKIPPED
        self.node.handover.leave()
        inlet.access = "private"  # from the next parcel on
        if not self._told_of_copies:
            self._told_of_copies = True
            self.node.report(records.Log(logging.WARNING, self.told_of_copies(error)))
        item = self.node.parcel_decoder.original(parcel, number)
        try:
            return self.calls.at(number, function, item)
        except BaseException as second:
            self.after(second, number, item, parcel.origin, parcel)
            return SKIPPED

    def told_of_copies(self, error: BaseException) -> str:
        """What to say of a functor that has raised this, as it writes to what it gets."""
        return (
            f"{self.where} writes to the arrays that it gets, so from now on they are private "
            f"copies; writable=True says so from the start ({type(error).__name__}: {error})"
        )

    def broken_at(self, error: BaseException, taken: WorkItem[Arrived] | None) -> Broken:
        """What to raise for an error that came with this item, or outside of any."""
        if taken is None:
            return broken(error, None, None, self.node.ident)
        parcel = taken.parcel
        path = outputs(parcel.path)
        return broken(error, taken.number, taken.shown, origin=parcel.origin, path=path)

    def wait_for_room(self, outlet: Outlet) -> None:
        """Waits until an item could be added to the outlet, or what it was made of is stale."""
        inlets = list(self.node.inlets.values())
        turn = inlets[0].turn if inlets else None
        self._wait_for(outlet, lambda: outlet.ready or (turn is not None and turn.stale))

    def may_begin(self, inlet: Inlet, outlet: Outlet | None, ended: Callable[[], bool]) -> bool:
        """Waits for a parcel to work off; False if none comes any more.

        Not while something waits for somebody to have a place for it (it may have been the last
        item, and nobody gives room for one more): what the next one has as origin is another one's;
        and another worker may take that.  So this is looked at again after each wait.
        """
        while True:
            if outlet is not None and outlet.is_stuck:
                self._wait_until_sent(outlet)
            elif inlet.ready:
                return True
            elif ended():
                return False
            else:
                self._wait_for_parcel(inlet, ended)

    # (Of their own, as closures are made at each call of what has them.)
    def _wait_until_sent(self, outlet: Outlet) -> None:
        self._wait_for(outlet, lambda: not outlet.is_stuck)

    def _wait_for_parcel(self, inlet: Inlet, ended: Callable[[], bool]) -> None:
        self.wait_for_input(lambda: inlet.ready or ended())

    def set_origin(self, outlet: Outlet, parcel: Arrived, path: Path, done: Done) -> bool:
        """What is added to the outlet next is made of this parcel; False if that is stale.

        What was made of others goes first, if that has to be waited for.
        """
        if outlet.set_origin(parcel.origin, parcel.epoch, path, done):
            return True
        return self._wait_for_origin(outlet, parcel, path, done)

    def _wait_for_origin(self, outlet: Outlet, parcel: Arrived, path: Path, done: Done) -> bool:
        context = (parcel.origin, parcel.epoch, path, done)
        (inlet,) = self.node.inlets.values()  # what passes identities on has one
        self._wait_for(
            outlet, lambda: parcel.epoch < inlet.seen_epoch or outlet.set_origin(*context)
        )
        return parcel.epoch >= inlet.seen_epoch

    def _wait_for(self, outlet: Outlet, until: Callable[[], bool]) -> None:
        inlets, probes = self.node.inlets.values(), self.node.probes
        probes.blocked = (outlet,)
        for inlet in inlets:
            inlet.producers.held_up = True
        try:
            self.node.block(until)
        finally:
            probes.blocked = ()
            for inlet in inlets:
                inlet.producers.held_up = False

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
        if self.info is not None:
            self.info.pass_ = pass_of(inlet.queue[0].runs[0][0])
        try:
            return inlet.next_batch()
        except Exception as error:  # unpickling runs code of the user's classes
            parcel = inlet.queue[0]
            first = parcel.runs[0][0]
            doing = f"unpacking items from {inlet.spec.feeders!r}"
            path = outputs(parcel.path)
            about: dict[str, Any] = {"origin": parcel.origin, "number": first, "path": path}
            failure = capture(error, doing, item="...", **about)
            raise because(Broken(failure), error) from error

    def close_open(self, close: Callable[[], object]) -> None:
        """Closes what is open in the functor at the end of a pass, and lets go of what came.

        Raises:
            Broken: the functor has raised.
        """
        try:
            self.calls.outside(close)
        except StopRun:
            raise
        except BaseException as error:
            self.leave_if_forked(error)
            raise because(Broken(capture(error, CLOSING)), error) from error
        for inlet in self.node.inlets.values():
            if inlet.turn is not None:
                inlet.abandon()

    def close(self) -> None:
        """Sends what waits; when all is settled, tells the receivers that this was all."""
        senders = [outlet for outlet in self.outlets if outlet.ledger is not None]
        if not senders:
            self.node.departure.say_bye(self.node.block)
            return
        for outlet in senders:
            self.node.page.dropped += outlet.end()
            outlet.flush()
        self.node.probes.blocked = senders  # by what waits there, the end is held up, too
        self.node.block(lambda: all(outlet.settled for outlet in senders))
        self.node.probes.blocked = ()
        for outlet in senders:
            self.node.peers.close_region(outlet, self._orders.pass_)
        self.node.flush(time.monotonic(), idle=True)
