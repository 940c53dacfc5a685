"""One worker's sockets: what comes by its inbox is taken in, and what it owes is sent.

The worker's main thread owns it, except while that is in the user's functor: during a long one
the service thread serves it.  How the two keep out of each other's way is said in
`stream.handover`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from minipipe.codec import Encoder
from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.membership import LOCAL_HOST, SUPERVISOR, Membership
from minipipe.protocol.wiring import Wiring
from minipipe.shm import SlotHandle
from minipipe.stream import wire
from minipipe.stream.absent import Absences
from minipipe.stream.counts import publish
from minipipe.stream.departure import Departure
from minipipe.stream.ends import Ends
from minipipe.stream.feedback import Feedback
from minipipe.stream.fences import Fences
from minipipe.stream.handlers import Handlers
from minipipe.stream.handover import Handover
from minipipe.stream.memory import Memory
from minipipe.stream.ordering import Ordering
from minipipe.stream.orders import Orders
from minipipe.stream.outbox import Outbox, inbox_name
from minipipe.stream.page import Page
from minipipe.stream.parcel_decoder import ParcelDecoder
from minipipe.stream.peers import Peers
from minipipe.stream.probes import Probes
from minipipe.stream.rest import Rest
from minipipe.stream.skips import Skips
from minipipe.transport import Buffer, Inbox, Transport

logger = logging.getLogger("minipipe")

LULL_S = 0.003  # nothing has come for this long: time for what nobody waits for
FLUSH_S = 0.002  # while it works, a worker tells others of its progress this often
LATER_S = 0.01  # and of what it has confirmed, this often: a message costs as much as an item
WAIT_S = 1.0  # no wait is longer, so that one lost wake-up costs a second, not the run


class StopRun(BaseException):
    """Raised in the main thread, in the functor if need be, when the run is to end now."""


class Node:
    """One worker's end of all its streams."""

    def __init__(
        self,
        *,
        run: int,
        ident: int,
        wiring: Wiring,
        transport: Transport,
        supervisor: str,
        page: Page,
        memory: Memory | None = None,
        host: str = LOCAL_HOST,
    ) -> None:
        self.ident = ident
        self.wiring = wiring
        self.page = page
        self.handover = Handover(page)
        self.membership = Membership(run, host)
        self.inbox: Inbox = transport.bind(inbox_name(ident))
        self.memory = Memory(None) if memory is None else memory
        self.lender = self.memory.lender
        # Slots that were lent and that arrays of this process may still write to.
        self.writable_after_send: Sequence[SlotHandle] = (
            () if self.lender is None else self.lender.writable_after_send
        )
        self.absences = Absences(self.membership)
        self.parcel_decoder = ParcelDecoder(self.inbox, self.memory.borrower)
        outbox = Outbox(
            membership=self.membership,
            ident=ident,
            transport=transport,
            supervisor=supervisor,
            page=page,
            outlets=wiring.outlets,
            memory=self.memory,
        )
        self.outbox, self.send = outbox, outbox.send
        self.ends = Ends.of(
            wiring,
            ident,
            encoder=Encoder(lender=self.lender),
            decoder=self.parcel_decoder,
            dispatch=outbox.dispatch,
        )
        self.inlets, self.outlets = self.ends.inlets, self.ends.outlets
        self.recoveries = self.ends.recoveries
        self.orders = Orders(wiring.segment, page)
        self.peers = Peers(
            ident, wiring, self.membership, inbox=self.inbox, outbox=outbox, outlets=self.outlets
        )
        self.feedback = Feedback(outbox)
        self.report_turn = self.feedback.report_turn
        self.rest = Rest(self.ends, self.peers, outbox)
        # Of a join by identity: how many items it has put together.
        self.paired = None if wiring.pairs is None else 0
        self.skips = Skips()
        self.fences = Fences(
            self.ends,
            self.peers,
            outbox=outbox,
            feedback=self.feedback,
            orders=self.orders,
            handover=self.handover,
        )
        self.ordering = Ordering(self.ends, self.peers, outbox)
        self.departure = Departure(self.ends, self.peers, outbox, self.orders)
        self.probes = Probes(ident, self.ends, outbox)
        self._handlers = Handlers(
            self.ends,
            self.peers,
            outbox=outbox,
            memory=self.memory,
            absences=self.absences,
            orders=self.orders,
            fences=self.fences,
            departure=self.departure,
            probes=self.probes,
        )
        self._flushed_s = 0.0
        self._told_all_s = 0.0

    def sync_progress(self, in_user_code: int) -> None:
        """Brings the parcel in work up to date, from the item that the functor is at."""
        self.ends.sync_progress(in_user_code)

    # --------------------------------------------------------------- sending
    def report(self, record: NamedTuple) -> None:
        """Sends a record to the supervisor at once, behind what was skipped before."""
        if self.skips.waits:
            self._report_skips()
        self.send(SUPERVISOR, record)
        self.outbox.flush()

    def report_skips(self, text: str = "", failure: bytes = b"") -> None:
        """Tells the supervisor at once what was skipped; of the last one, what went wrong."""
        self._report_skips(text, failure)
        self.outbox.flush()

    def _report_skips(self, text: str = "", failure: bytes = b"") -> None:
        self.publish()  # with what it is to be compared
        self.send(SUPERVISOR, self.skips.take(text, failure))

    def flush(self, now_s: float, *, idle: bool = False) -> None:
        """Sends what is due: parcels, grants, confirmations.  `idle`: all parcels are due."""
        if self.fences.sends_again:
            self.fences.send_again()
        for outlet in self.outlets.values():
            if idle:
                outlet.flush()
            else:
                outlet.flush_if_due(now_s)
        for inlet in self.inlets.values():
            self.report_turn(inlet)
            self.feedback.grant(inlet, idle=idle)
        self.ordering.send_marks()
        if self.rest.passive and idle:
            self.rest.report()
        everything = idle or now_s - self._told_all_s >= LATER_S
        if everything:
            self._told_all_s = now_s
            if self.skips.waits:  # before others hear that these items are done with
                self._report_skips()
        self.outbox.flush(everything=everything)
        self._flushed_s = now_s
        self.memory.tend(now_s)
        self.absences.check(now_s)
        self.publish()

    def tend(self, now_s: float) -> None:
        """Serves and flushes if the last time was long enough ago."""
        if now_s - self._flushed_s >= FLUSH_S:
            self.serve()
            self.flush(now_s)

    def isolate_sent_arrays(self, *, read_only_functor: bool = False) -> None:
        """What was put to the outlets stays as it is, whatever the functor does with it later.

        To be called if anything is `writable_after_send`, before the functor is called again, when
        nothing else holds the item any more.

        Args:
            read_only_functor: it is known to do nothing to it.
        """
        if self.lender is not None:
            if read_only_functor:
                self.lender.forget()
            else:
                self.lender.isolate_sent()

    def reach(self, number: int | None) -> None:
        """Counts the items of the parcel in work up to this one as taken."""
        if number is not None:
            self.sync_progress(number + 1)

    def publish(self) -> None:
        """Writes the counters to the status page."""
        publish(self.page, self.ends, self.paired)

    # -------------------------------------------------------------- receiving
    def serve(self) -> None:
        """Takes in everything that has arrived."""
        while self._serve_one():
            pass
        if self.outbox.awaits:
            self._look_for_subscriptions()

    def wait(self, timeout_s: float) -> None:
        """Waits until something may be there to be served."""
        self.inbox.wait(timeout_s, self.outbox.filenos())

    def _look_for_subscriptions(self) -> None:
        now_s = time.monotonic()
        for stream, consumer, grant in self.outbox.subscriptions():
            self.outlets[stream].consumers.granted(consumer, grant, now_s)

    def _serve_one(self) -> bool:
        """Takes in one message; False if there is none."""
        return self._take(self.inbox.receive())

    def _take(self, buffers: list[Buffer] | None) -> bool:
        if buffers is None:
            return False
        try:
            message = wire.read(buffers, self.inbox)
        except WireFormatError as error:
            logger.warning("%s dropped a message: %s", self.inbox.bound_address, error)
            return True
        self._handlers.take(message)
        return True

    def block(
        self, until: Callable[[], bool], *, to_the_end: bool = False, wait_s: float = WAIT_S
    ) -> None:
        """Serves until `until()`, which is asked at each message, and every `wait_s`.

        Raises:
            StopRun: the run is to end before that (not with `to_the_end`).
        """
        more = self._serve_one()
        lull = True
        while True:
            if self.orders.stopped is not None and not to_the_end:
                raise StopRun
            if until():
                return
            if more:
                more = self._serve_one()
                continue
            if lull:
                # First what others may be waiting for.  The rest can wait until it is clear that
                # nothing comes: on two cores it would be in the way of who works on an item now.
                self._flush_urgent()
                timeout_s = min(LULL_S, wait_s)
            else:
                self.flush(time.monotonic(), idle=True)
                timeout_s = wait_s
            if self.outbox.awaits:  # after the last send, which may swallow their wake-up
                self._look_for_subscriptions()
            if until():
                return
            lull = not lull
            self.handover.waiting = True
            try:
                buffers = self.inbox.receive_within(timeout_s, self.outbox.filenos())
            finally:
                self.handover.waiting = False
            if lull and buffers is not None:
                self._flushed_s = time.monotonic()  # nothing was owed since
            more = self._take(buffers)
            lull = lull or more

    def _flush_urgent(self) -> None:
        """Sends what others may be waiting for: parcels, credit, room for large items."""
        if self.fences.sends_again:
            self.fences.send_again()
        for outlet in self.outlets.values():
            outlet.flush()
        for inlet in self.inlets.values():
            if inlet.owes or inlet.spec.ordered:
                self.report_turn(inlet)
            self.feedback.grant(inlet, idle=True)
        self.ordering.send_marks()
        self.outbox.flush(everything=False)
