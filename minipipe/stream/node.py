"""One worker's sockets: what comes by them is taken in, and what it owes is sent.

The worker's main thread owns it, except while that is in the user's functor: during a long one
the service thread serves it.  How the two keep out of each other's way is said in
`stream.handover`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from minipipe.protocol.delivery.membership import LOCAL_HOST, SUPERVISOR, Membership
from minipipe.protocol.flow.credit import ServiceTime
from minipipe.protocol.wiring import Wiring
from minipipe.stream import wire
from minipipe.stream.absent import Absences
from minipipe.stream.counts import publish
from minipipe.stream.departure import Departure
from minipipe.stream.duties import FLUSH_S, PUBLISH_S, Duties, has_news
from minipipe.stream.ends import Ends
from minipipe.stream.feedback import Feedback
from minipipe.stream.fences import Fences
from minipipe.stream.handlers import Handlers
from minipipe.stream.handover import Handover
from minipipe.stream.memory import Memory
from minipipe.stream.offers import Offers
from minipipe.stream.ordering import Ordering
from minipipe.stream.orders import Orders
from minipipe.stream.outbox import Outbox, inbox_name
from minipipe.stream.page import MESSAGES_IN, MESSAGES_OUT, Page
from minipipe.stream.parcel_decoder import ParcelDecoder, encoder_for
from minipipe.stream.peers import Peers
from minipipe.stream.probes import Probes
from minipipe.stream.reception import Reception
from minipipe.stream.rest import Rest
from minipipe.stream.skips import Skips
from minipipe.stream.time_use import TimeUse
from minipipe.stream.waiting import Waiting
from minipipe.transport import ControlInbox, Inbox, Transport

WAIT_S: Final = 1.0  # no wait is longer, so that one lost wake-up costs a second, not the run


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
        control: ControlInbox | None = None,
        host: str = LOCAL_HOST,
        gateway: str = "",
    ) -> None:
        self.ident, self.wiring = ident, wiring
        self.page, self._words = page, page.words
        self.handover, self.time_use = Handover(page), TimeUse(page)
        self.membership = Membership(run, host)
        self.inbox: Inbox = transport.bind(inbox_name(ident))
        self.reception = Reception(self.inbox, control)
        self.memory = Memory(None) if memory is None else memory
        self.writable_after_send = self.memory.writable_after_send
        self.absences = Absences(self.membership)
        self.parcel_decoder = ParcelDecoder(self.inbox, self.memory.borrower)
        outbox = Outbox(
            membership=self.membership,
            ident=ident,
            transport=transport,
            supervisor=supervisor,
            page=page,
            outlets=wiring.outlets,
            gateway=gateway,
        )
        self.outbox, self.send = outbox, outbox.send
        self.ends = Ends.of(
            wiring,
            ident,
            encoder=encoder_for(self.inbox, self.memory.lender),
            decoder=self.parcel_decoder,
            dispatch=outbox.dispatch,
        )
        self.inlets, self.outlets = self.ends.inlets, self.ends.outlets
        self.recoveries = self.ends.recoveries
        self.orders = Orders(wiring.segment, page, self.time_use)
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
        self.offers = Offers(self.ends, outbox)
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
            offers=self.offers,
        )
        self.passes = self._handlers.passes
        self._waiting = Waiting(
            self.ends, self.reception, self.probes, self.handover, self.time_use
        )
        self.duties = Duties(self.ends, outbox, self.skips, page)
        self._outlets, self._inlets = list(self.outlets.values()), list(self.inlets.values())
        self.flushed_s = self._told_all_s = self._served_s = self._published_s = 0.0

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
        if self.fences.again:
            self.fences.send_again()
        for outlet in self._outlets:
            if outlet.unsent and (idle or outlet.is_due(now_s)):
                outlet.flush()
        for inlet in self._inlets:
            if has_news(inlet):
                self.report_turn(inlet)
            self.feedback.grant(inlet, idle=idle)
        self.offers.send(now_s)
        if self.ordering.in_use:
            self.ordering.send_marks()
        if self.rest.passive and idle:
            self.rest.report()
        self.flushed_s = now_s
        everything = idle or now_s - self._told_all_s >= self.duties.told_every_s
        if everything:
            self._told_all_s = now_s
            if self.skips.waits:  # before others hear that these items are done with
                self._report_skips()
        self.outbox.flush(everything=everything)
        if idle or now_s - self._published_s >= PUBLISH_S:
            self._published_s = now_s
            self.memory.tend(now_s)
            self.absences.check(now_s)
            self.publish()
        self.duties.unpublished = now_s != self._published_s

    def tend(self, now_s: float) -> None:
        """Serves and flushes if the last time was long enough ago."""
        if now_s - self.flushed_s >= FLUSH_S:
            self._served_s = now_s
            self.serve()
            self.flush(now_s)

    def tend_before_call(self, number: int, now_s: float, pace: ServiceTime) -> None:
        """Does the same, when the functor goes to this item: others hear that it is taken up.

        Sent in one message with what came of the item before, as far as it is for the same one.
        """
        self.ends.sync_progress(number + 1)
        if now_s - self._served_s >= FLUSH_S:  # else it has waited for this very item just now
            self._served_s = now_s
            self.serve()
        if pace.service_time_s >= PUBLISH_S:  # then nothing is left for the service thread
            self._told_all_s = self._published_s = 0.0
        self.flush(now_s)

    def publish(self) -> None:
        """Writes the counters to the status page."""
        publish(self.page, self.ends, self.paired)
        self._words[MESSAGES_OUT] = self.outbox.messages

    # -------------------------------------------------------------- receiving
    def serve(self) -> None:
        """Takes in everything that has arrived."""
        while self._serve_one():
            pass
        if self.outbox.awaiting:
            self._look_for_subscriptions()

    def serve_orders(self) -> None:
        """Takes in what the supervisor has said, and nothing else."""
        while (order := self.reception.receive_order()) is not None:
            self._handlers.take(order)

    def wait(self, timeout_s: float | None, also: Sequence[int] = ()) -> None:
        """Waits until something may be there to be served, or one of `also` is readable."""
        self.reception.wait(timeout_s, (*self.outbox.filenos(), *also))

    def _look_for_subscriptions(self) -> None:
        now_s = time.monotonic()
        for stream, consumer, grant in self.outbox.subscriptions():
            self.outlets[stream].consumers.granted(consumer, grant, now_s)

    def _serve_one(self) -> bool:
        """Takes in one message; False if there is none."""
        message = self.reception.receive()
        if message is not None:
            self._take(message)
        return message is not None

    def _take(self, message: wire.Message) -> None:
        self._words[MESSAGES_IN] += 1
        self._handlers.take(message)
        if message.sender == SUPERVISOR:
            # All orders at once: that more of them wait here would wake up nobody.
            self.serve_orders()

    def block(
        self, until: Callable[[], bool], *, to_the_end: bool = False, wait_s: float = WAIT_S
    ) -> None:
        """Serves until `until()`, which is asked at each message, and every `wait_s`.

        Unless `to_the_end`, raises StopRun, PassLeft: the run, or the pass, is to end before that.
        """
        more = lull = True
        while True:
            if not to_the_end:
                self.orders.check()
            if until():
                self._served_s = time.monotonic()
                return
            if more and (more := self._serve_one()):
                lull = True
                continue
            unsent = bool(self.fences.again)
            for outlet in self._outlets:
                unsent = unsent or bool(outlet.unsent)
            if lull:
                # First what others may be waiting for.  The rest can wait until it is clear that
                # nothing comes: on two cores it would be in the way of who works on an item now.
                self._flush_urgent()
                timeout_s = self.offers.within(min(self.duties.lull_s, wait_s))
            else:
                self.flush(time.monotonic(), idle=True)
                timeout_s = self.offers.within(wait_s)
            awaits = bool(self.outbox.awaiting)
            if awaits:  # after the last send, which may swallow their wake-up
                self._look_for_subscriptions()
            if (unsent or awaits) and until():
                return
            message = self._waiting.wait(timeout_s, self.outbox.filenos(), may_nap=lull)
            if message is not None:
                if not lull:
                    self.flushed_s = time.monotonic()  # nothing was owed since
                self._take(message)
            lull = more = message is not None or self._waiting.napped

    def _flush_urgent(self) -> None:
        """Sends what others may be waiting for: parcels, credit, room for large items."""
        if self.fences.again:
            self.fences.send_again()
        for outlet in self._outlets:
            if outlet.unsent:
                outlet.flush()
        for inlet in self._inlets:
            if inlet.spec.ordered or (inlet.unconfirmed and inlet.owes):
                self.report_turn(inlet)
            self.feedback.grant(inlet, idle=True)
        self.offers.send(time.monotonic())
        if self.ordering.in_use:
            self.ordering.send_marks()
        self.outbox.flush(everything=False)
