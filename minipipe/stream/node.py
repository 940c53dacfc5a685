"""One worker's end of everything: inbox, links, inlets, outlets, and what it was told.

The worker's main thread owns it, except while that is in the user's functor (`in_user_code`):
during a long one the service thread serves it.  How the two keep out of each other's way is said
in `worker.service_thread`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container, Sequence
from typing import Any, cast

from minipipe.codec import NO_LEASES, Access, Decoder, Encoder
from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.membership import SUPERVISOR, Membership, Peer
from minipipe.protocol.delivery.paths import Leaf, Path
from minipipe.protocol.delivery.recovery import Recovery
from minipipe.protocol.flow.credit import Grant
from minipipe.protocol.run.events import CrashSuspect
from minipipe.protocol.wiring import OutletSpec, Wiring
from minipipe.shm import SlotHandle
from minipipe.stream import wire
from minipipe.stream.absent import Absences
from minipipe.stream.arrived import Arrived
from minipipe.stream.counts import loop_counts, publish
from minipipe.stream.fences import Fences
from minipipe.stream.handlers import Handlers
from minipipe.stream.inlet import Inlet
from minipipe.stream.memory import Memory
from minipipe.stream.ordering import Ordering
from minipipe.stream.outbox import Outbox, inbox_name
from minipipe.stream.outlet import Outlet, Shipment
from minipipe.stream.page import ITEM_WORD, OUTSIDE, Page
from minipipe.stream.probes import Probes
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
    ) -> None:
        self.lock = threading.Lock()  # held by the service thread while it serves
        self.service_count = 0  # how often the service thread has announced itself
        self.waiting = False  # the main thread waits for messages
        self.ident = ident
        self.wiring = wiring
        self.page = page
        self.membership = Membership(run)
        self.inbox: Inbox = transport.bind(inbox_name(ident))
        self.memory = Memory(None) if memory is None else memory
        self.lender = self.memory.lender
        # Slots that were lent and that arrays of this process may still write to.
        self.writable_after_send: Sequence[SlotHandle] = (
            () if self.lender is None else self.lender.writable_after_send
        )
        self.absences = Absences(self.membership)
        self.encoder = Encoder(lender=self.lender)
        self.decoder = Decoder(borrower=self.memory.borrower)
        self._publishers: dict[int, list[str]] = {}  # by producer: where this one has subscribed
        self.recoveries: dict[int, Recovery] = {}  # by region: numbers are of sender and region
        self.inlets = {spec.stream: Inlet(spec) for spec in wiring.inlets}
        self.outbox = Outbox(self.membership, ident, transport, supervisor, page, wiring.outlets)
        dispatch = self.outbox.dispatch
        self.outlets = {
            spec.stream: Outlet(spec, ident, self.encoder, dispatch, self._recovery_of(spec))
            for spec in wiring.outlets
        }
        self.send = self.outbox.send
        self.started = False
        self.draining = False
        self.leaving = False
        self.exiting = False
        self.stopped: str | None = None  # the outcome of the run, once told to stop
        self.on_stop: Callable[[], None] = lambda: None
        self.passive = False  # in a loop: it can do nothing until something comes
        self.ended = False  # in a loop: it takes no more items, and drops what comes
        # Of a join by identity: how many items it has put together.
        self.paired = None if wiring.pairs is None else 0
        self._rested: tuple[Any, ...] | None = None  # what the supervisor was told of the loop
        # Items that workers of this segment have died of, and how many.
        self.crash_suspects: dict[Leaf, int] = {}
        self.skips = Skips()
        self.fences = Fences(self)
        self.ordering = Ordering(self)
        self.probes = Probes(self)
        self._handlers = Handlers(self)
        self._flushed_s = 0.0
        self._told_all_s = 0.0

    def _recovery_of(self, spec: OutletSpec) -> Recovery | None:
        if not spec.is_sender:
            return None
        made = Ledger(limit_bytes=spec.ledger_bytes, min_items=spec.ledger_items)
        return self.recoveries.setdefault(spec.region, Recovery(made))

    def note_crash_suspects(self, crash_suspects: Sequence[CrashSuspect]) -> None:
        """These items have killed workers, and no others that are still open: so many of each."""
        self.crash_suspects.clear()  # the very dict: the loop that works has it
        for segment, origin, number, outputs, deaths in crash_suspects:
            if segment == self.wiring.segment:
                self.crash_suspects[origin, number, outputs] = deaths
        if not self.crash_suspects:
            self.page.deaths = 0

    def begin_epoch(self, region: int, epoch: int) -> None:
        """This worker was born when the region was in this epoch."""
        for inlet in self.inlets.values():
            if inlet.spec.region == region:
                inlet.fence(epoch)
        for outlet in self.outlets.values():
            if outlet.spec.region == region:
                outlet.fence(epoch)
        if region in self.recoveries:
            self.recoveries[region].fence(epoch, ())

    def release(self, ledger: Ledger) -> None:
        """What was settled is kept no longer, nor is the shared memory that it refers to."""
        for shipment in ledger.release_settled():
            cast("Shipment", shipment).release()

    # -------------------------------------------------------------- ownership
    @property
    def in_user_code(self) -> int:
        """Not 0 while the main thread is in the user's code; another value for each item."""
        return self.page.words[ITEM_WORD]

    def take_back(self) -> int:
        """Waits until the service thread has finished; returns the new count of `service_count`.

        For the main thread, when it has cleared `in_user_code` and found `service_count` changed.
        """
        with self.lock:
            return self.service_count

    def sync_progress(self, in_user_code: int) -> None:
        """Brings the parcel in work up to date, from the item that the functor is at."""
        for inlet in self.inlets.values():
            if inlet.followed and inlet.turn is not None and in_user_code != OUTSIDE:
                inlet.turn.at(in_user_code - 1)

    # --------------------------------------------------------------- sending
    def report(self, *record: Any) -> None:
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
            for producer, grant in inlet.grants(idle=idle):
                self._grant(inlet, producer, grant)
        self.ordering.send_marks()
        if self.passive and idle:
            self._tell_rest()
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

    def report_turn(self, inlet: Inlet) -> None:
        """Tells the origin what became of the items of the parcel in work."""
        for parcel, runs in inlet.confirmations():
            self.acknowledge(wire.CONFIRM, inlet, parcel, runs)
        drops = inlet.drops()
        if drops is not None:
            self.acknowledge(wire.DROPPED, inlet, *drops)

    def acknowledge(
        self,
        op: int,
        inlet: Inlet,
        parcel: Arrived,
        runs: list[Interval],
        path: Path | None = None,
    ) -> None:
        """Tells the origin of these items that they are confirmed, or dropped, at their path."""
        path = parcel.path if path is None else path
        record = (op, inlet.spec.region, parcel.epoch, wire.flat(runs), path)
        self.outbox.send_batched(parcel.origin, record, parcel.size_bytes)

    def drop_at(self, number: int, parcel: Arrived, path: Path) -> None:
        """Tells the origin of an item that nothing comes of it at this path beyond a fork."""
        inlet = next(iter(self.inlets.values()))
        self.acknowledge(wire.DROPPED, inlet, parcel, [(number, number + 1)], path)

    def _grant(self, inlet: Inlet, producer: int, grant: Grant) -> None:
        self.send(
            producer,
            (
                wire.GRANT,
                inlet.spec.stream,
                grant.taken,
                grant.finished,
                grant.window,
                round(grant.service_time_s * 1e6),
                grant.window_scale,
            ),
        )

    def _tell_rest(self) -> None:
        """In a loop: tells the supervisor that nothing is left to do here, and what was passed on.

        From all members' counts it sees whether the whole loop has come to rest.
        """
        if not (self.ended or all(i.only_the_loop_feeds_it for i in self.inlets.values())):
            return
        now = (wire.REST, self.ended, *loop_counts(self))
        if now != self._rested:
            self._rested = now
            self.send(SUPERVISOR, now)

    def isolate_sent_arrays(self, *, careful: bool = False) -> None:
        """What was put to the outlets stays as it is, whatever the functor does with it later.

        To be called if anything is `writable_after_send`, before the functor is called again, when
        nothing else holds the item any more.

        Args:
            careful: it is known to do nothing to it.
        """
        if self.lender is not None:
            if careful:
                self.lender.forget()
            else:
                self.lender.isolate_sent()

    def segment_of(self, ident: int) -> int:
        """The segment of a worker; -1 if that is not known."""
        if ident == self.ident:
            return self.wiring.segment
        peer = self.membership.peers.get(ident)
        return -1 if peer is None else peer.segment

    def reach(self, number: int | None) -> None:
        """Counts the items of the parcel in work up to this one as taken."""
        if number is not None:
            self.sync_progress(number + 1)

    def publish(self) -> None:
        """Writes the counters to the status page."""
        publish(self)

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
            self.outlets[stream].granted(consumer, grant, now_s)

    def _serve_one(self) -> bool:
        """Takes in one message; False if there is none."""
        return self._take(self.inbox.receive())

    def _take(self, buffers: list[Buffer] | None) -> bool:
        if buffers is None:
            return False
        try:
            message = wire.read(buffers)
        except WireFormatError as error:
            logger.warning("%s dropped a message: %s", self.inbox.address, error)
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
            if self.stopped is not None and not to_the_end:
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
            self.waiting = True
            try:
                buffers = self.inbox.receive_within(timeout_s, self.outbox.filenos())
            finally:
                self.waiting = False
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
            for producer, grant in inlet.grants(idle=True):
                self._grant(inlet, producer, grant)
        self.ordering.send_marks()
        self.outbox.flush(everything=False)

    def decode(self, parcel: Arrived, access: Access) -> list[Any]:
        """The items of a parcel; `access`: what may be done with their arrays in shared memory."""
        whole = parcel.whole
        if whole is not None:
            if whole.items is None:
                whole.items = self.decode(whole, access)
            parcel.unreadable = whole.unreadable
            begin, end = parcel.position, parcel.position + parcel.count
            items, whole.items[begin:end] = whole.items[begin:end], [None] * parcel.count
            return items
        return self._unpacked(parcel, access)

    def _unpacked(self, parcel: Arrived, access: Access) -> list[Any]:
        if isinstance(parcel.body, tuple):
            items = list(parcel.body)
        else:
            self.decoder.access = access
            about = (parcel.leases or NO_LEASES, parcel.classes)
            items = self.decoder.decode(parcel.body, parcel.frames, *about, each=True)
            parcel.unreadable = self.decoder.failed
        if parcel.select:
            return [item for first, stop in parcel.select for item in items[first:stop]]
        return items

    def original(self, parcel: Arrived, number: int) -> Any:
        """An item of a parcel in work as it came, whatever the functor has done to it."""
        whole = parcel if parcel.whole is None else parcel.whole
        numbers = [n for first, stop in whole.runs for n in range(first, stop)]
        return self._unpacked(whole, "private")[numbers.index(number)]

    # ------------------------------------------------------------------ peers
    def connect_peer(self, peer: Peer) -> None:
        """Connects to a new peer, if there is anything to say to it."""
        for outlet in self.outlets.values():
            spec = outlet.spec
            if peer.segment in spec.consumers:
                self.outbox.open(peer)
                outlet.group_of(peer.segment).add(peer.id)
                where = (self.inbox.address, self.outbox.publisher(spec, peer))
                self.send(peer.id, (wire.HELLO, spec.stream, self.wiring.segment, *where))
            if peer.segment in spec.receivers and outlet.closed:
                self.outbox.open(peer)
                self.send(peer.id, (wire.CLOSE, spec.region))
            if peer.segment in spec.ordered_receivers and outlet.ledger is not None:
                self.outbox.open(peer)
                outlet.ledger.expect_at(peer.id)
        # Also to those who will only be told of an end, or of a death: once the run is on, nobody
        # depends on the run's directory any more.
        if peer.segment in self.wiring.correspondents or self.outbox.waits_for(peer.id):
            self.outbox.open(peer)

    def subscribe(self, producer: int, address: str, topics: Sequence[bytes]) -> None:
        """From now on, what this producer broadcasts there comes here."""
        self._publishers.setdefault(producer, []).append(address)
        self.inbox.subscribe(address, topics)

    def unsubscribe(self, dead: Container[int]) -> None:
        """Nothing more comes of these: their connections would be tried for ever."""
        for producer in [ident for ident in self._publishers if ident in dead]:
            for address in self._publishers.pop(producer):
                self.inbox.unsubscribe(address)

    def close_region(self, outlet: Outlet) -> None:
        """Tells all receivers that nothing more comes; the ledger is empty (rule 20)."""
        assert outlet.ledger is not None and outlet.ledger.empty
        outlet.closed = True
        for peer in self.membership.peers.values():
            if peer.segment in outlet.spec.receivers:
                self.outbox.open(peer)
                self.send(peer.id, (wire.CLOSE, outlet.spec.region))
