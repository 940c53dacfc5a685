"""One worker's end of everything: inbox, links, inlets, outlets, and what it was told.

The worker's main thread owns it, except while that is in the user's functor (`away`): during a
long one the attendant serves it.  How the two keep out of each other's way is said in
`worker.attendant`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from minipipe.codec import Decoder, Encoder, Parcel
from minipipe.errors import WireFormatError
from minipipe.pure.credit import Grant
from minipipe.pure.intervals import Interval
from minipipe.pure.ledger import Ledger
from minipipe.pure.membership import SUPERVISOR, Membership, Peer
from minipipe.pure.paths import Path
from minipipe.stream import wire
from minipipe.stream.inlet import Arrived, Inlet
from minipipe.stream.link import Link
from minipipe.stream.outlet import Outlet
from minipipe.stream.page import ITEM_WORD, OUTSIDE, WORD, Page
from minipipe.stream.wiring import OutletSpec, Role, Wiring
from minipipe.transport import Buffer, Inbox, Transport

logger = logging.getLogger("minipipe")

FLUSH_S = 0.002  # while it works, a worker tells others of its progress this often
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
    ) -> None:
        self.lock = threading.Lock()  # held by the attendant while it serves
        self.attended = 0  # how often the attendant has announced itself
        self.waiting = False  # the main thread waits for messages
        self.ident = ident
        self.wiring = wiring
        self.page = page
        self.membership = Membership(run)
        self.inbox: Inbox = transport.bind(f"{ident:x}")
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.ledgers: dict[int, Ledger] = {}  # by region: numbers are of sender and region
        self.inlets = {spec.stream: Inlet(spec) for spec in wiring.inlets}
        self.outlets = {
            spec.stream: Outlet(spec, ident, self.encoder, self._dispatch, self._ledger_of(spec))
            for spec in wiring.outlets
        }
        self.started = False
        self.draining = False
        self.leaving = False
        self.exiting = False
        self.stopped: str | None = None  # the outcome of the run, once told to stop
        self.on_stop: Callable[[], None] = lambda: None
        self._transport = transport
        self._writer = wire.Writer(run, ident)
        self._links: dict[int, Link] = {}
        self._dirty: dict[int, Link] = {}
        self._early: list[wire.Message] = []
        self._flushed_s = 0.0
        supervisor_link = self._link(SUPERVISOR)
        supervisor_link.open(transport.connect(supervisor))
        self._handlers: dict[int, Callable[..., None]] = {
            wire.HELLO: self._on_hello,
            wire.GRANT: self._on_grant,
            wire.CONFIRM: self._on_confirm,
            wire.DROPPED: self._on_dropped,
            wire.CLOSE: self._on_close,
            wire.DEFINE: self._on_define,
            wire.JOIN: self._on_join,
            wire.START: self._on_start,
            wire.DRAIN: self._on_drain,
            wire.LEAVE: self._on_leave,
            wire.STOP: self._on_stop_record,
            wire.EXIT: self._on_exit,
        }

    def _ledger_of(self, spec: OutletSpec) -> Ledger | None:
        if not spec.is_sender:
            return None
        made = Ledger(limit_bytes=spec.ledger_bytes, min_items=spec.ledger_items)
        return self.ledgers.setdefault(spec.region, made)

    # -------------------------------------------------------------- ownership
    @property
    def away(self) -> int:
        """Not 0 while the main thread is in the user's code; another value for each item."""
        return self.page.words[ITEM_WORD]

    def rejoin(self) -> int:
        """Waits until the attendant has finished; returns the new count of `attended`.

        For the main thread, when it has cleared `away` and found `attended` changed.
        """
        with self.lock:
            return self.attended

    def settle_turn(self, away: int) -> None:
        """Brings the parcel in work up to date, from the item that the functor is at."""
        for inlet in self.inlets.values():
            if inlet.turn is not None and away != OUTSIDE:
                inlet.turn.at(away - 1)

    # --------------------------------------------------------------- sending
    def _link(self, ident: int) -> Link:
        link = self._links.get(ident)
        if link is None:
            link = self._links[ident] = Link(self._writer)
            peer = self.membership.peers.get(ident)
            if peer is not None:
                link.open(self._transport.connect(peer.address))
        return link

    def tell(self, ident: int, record: Sequence[Any]) -> None:
        """Sends `record` to that worker with the next flush."""
        link = self._link(ident)
        link.add(record)
        self._dirty[ident] = link

    def report(self, *record: Any) -> None:
        """Sends a record to the supervisor at once."""
        self.tell(SUPERVISOR, record)
        self._send_records()

    def _send_records(self) -> None:
        for link in self._dirty.values():
            link.flush()
        self._dirty.clear()

    def _dispatch(
        self,
        outlet: Outlet,
        target: int,
        epoch: int,
        origin: int,
        runs: list[Interval],
        path: Path,
        parcel: Parcel | tuple[Any, ...],
    ) -> None:
        link = self._link(target)
        body: Any = parcel
        frames: Sequence[Buffer] = ()
        if isinstance(parcel, Parcel):
            body, frames = parcel.body, parcel.frames
            if parcel.classes:
                link.define(parcel.classes, self.encoder.definition)
        link.add((wire.ITEMS, outlet.spec.stream, epoch, origin, wire.flat(runs), path, (), body))
        link.flush(frames)
        self.page.parcels += 1
        self._dirty.pop(target, None)

    def flush(self, now_s: float, *, idle: bool = False) -> None:
        """Sends what is due: parcels, grants, confirmations.  `idle`: all parcels are due."""
        for outlet in self.outlets.values():
            if idle:
                outlet.flush()
            else:
                outlet.flush_if_due(now_s)
        for inlet in self.inlets.values():
            self.report_turn(inlet)
            for producer, grant in inlet.grants(idle=idle):
                self._grant(inlet, producer, grant)
        self._send_records()
        self._flushed_s = now_s
        self.publish()

    def tend(self, now_s: float) -> None:
        """Serves and flushes if the last time was long enough ago."""
        if now_s - self._flushed_s >= FLUSH_S:
            self.serve()
            self.flush(now_s)

    def report_turn(self, inlet: Inlet) -> None:
        """Tells the origin what became of the items of the parcel in work."""
        done = inlet.confirmations()
        if done is not None:
            self.settle(wire.CONFIRM, inlet, *done)
        drops = inlet.drops()
        if drops is not None:
            self.settle(wire.DROPPED, inlet, *drops)

    def settle(self, op: int, inlet: Inlet, parcel: Arrived, runs: list[Interval]) -> None:
        """Tells the origin of these items that they are confirmed, or dropped."""
        self.tell(
            parcel.origin, (op, inlet.spec.region, parcel.epoch, wire.flat(runs), parcel.path)
        )

    def _grant(self, inlet: Inlet, producer: int, grant: Grant) -> None:
        self.tell(
            producer,
            (
                wire.GRANT,
                inlet.spec.stream,
                grant.taken,
                grant.finished,
                grant.window,
                round(grant.pace_s * 1e6),
            ),
        )

    def publish(self) -> None:
        """Writes the counters to the status page."""
        words = self.page.words
        items_in = queued = confirmed = 0
        for inlet in self.inlets.values():
            begun = inlet.turn.begun if inlet.turn is not None else 0
            items_in += inlet.items_in + begun
            queued += inlet.queued_items - begun
            confirmed += inlet.confirmed
        words[WORD["items_in"]], words[WORD["queued"]] = items_in, queued
        for outlet in self.outlets.values():
            words[WORD["items_out"]] = outlet.items_out
            ledger = outlet.ledger
            if ledger is not None:
                confirmed = ledger.next_number - ledger.open_items
                words[WORD["kept_items"]] = ledger.open_items
                words[WORD["kept_bytes"]] = ledger.open_bytes
                words[WORD["peak_items"]] = ledger.peak_items
                words[WORD["peak_bytes"]] = ledger.peak_bytes
        words[WORD["confirmed"]] = confirmed

    # -------------------------------------------------------------- receiving
    def serve(self) -> None:
        """Takes in everything that has arrived."""
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        """Takes in one message; False if there is none."""
        buffers = self.inbox.receive()
        if buffers is None:
            return False
        try:
            message = wire.read(buffers)
        except WireFormatError as error:
            logger.warning("%s dropped a message: %s", self.inbox.address, error)
            return True
        if self.membership.born:
            self._take(message)
        elif message.run == self.membership.run:
            self._before_birth(message)
        return True

    def _before_birth(self, message: wire.Message) -> None:
        """Until INIT, all waits: what others say makes no sense before (rule 16)."""
        if message.sender != SUPERVISOR:
            self._early.append(message)
            return
        self._take(message)
        if self.membership.born:
            early, self._early = self._early, []
            for waiting in early:
                self._take(waiting)

    def _take(self, message: wire.Message) -> None:
        if not self.membership.admits(message.run, message.sender):
            return
        for record in message.records:
            op = record[0]
            if op == wire.ITEMS:
                self._on_items(message.sender, message.frames, *record[1:])
            elif op == wire.INIT:
                self._on_init(*record[1:])
            else:
                handler = self._handlers.get(op)
                if handler is None:
                    logger.warning("worker %d does not know record %r", self.ident, op)
                    continue
                handler(message.sender, *record[1:])

    def block(self, until: Callable[[], bool], *, to_the_end: bool = False) -> None:
        """Serves until `until()`.

        Raises:
            StopRun: the run is to end before that (not with `to_the_end`).
        """
        while True:
            more = self._serve_one()
            if self.stopped is not None and not to_the_end:
                raise StopRun
            if until():
                return
            if more:
                continue
            self.flush(time.monotonic(), idle=True)
            if until():
                return
            self.waiting = True
            try:
                self.inbox.wait(WAIT_S)
            finally:
                self.waiting = False

    def _on_items(
        self,
        sender: int,
        frames: Sequence[Buffer],
        stream: int,
        epoch: int,
        origin: int,
        runs: Sequence[int],
        path: Sequence[Any],
        done: Sequence[Any],
        body: bytes | tuple[Any, ...],
    ) -> None:
        inlet = self.inlets[stream]
        if len(runs) == 2:
            intervals = [(runs[0], runs[1])]
            count = runs[1] - runs[0]
        else:
            intervals = wire.unflat(runs)
            count = sum(stop - first for first, stop in intervals)
        parcel = Arrived(sender, origin, epoch, intervals, wire.path_of(path), body, frames, count)
        inlet.arrived(parcel)
        if inlet.spec.role is Role.ANCHOR:
            # Reading, the epoch and confirming are one step under the lock (rule 7).
            inlet.confirmed += count
            self.settle(wire.CONFIRM, inlet, parcel, intervals)

    def decode(self, parcel: Arrived) -> list[Any]:
        """The items of a parcel."""
        if isinstance(parcel.body, tuple):
            return list(parcel.body)
        return self.decoder.decode(parcel.body, parcel.frames)

    def _on_hello(self, sender: int, stream: int, segment: int, address: str) -> None:
        peer = Peer(sender, segment, address)
        self._open(peer)
        self.inlets[stream].hello(sender)
        # Its window is news to it whatever the window is, so the next flush grants.

    def _on_grant(
        self, sender: int, stream: int, taken: int, finished: int, window: int, pace_us: int
    ) -> None:
        grant = Grant(taken, finished, window, pace_us * 1e-6)
        self.outlets[stream].accounts.granted(sender, grant, time.monotonic())

    def _on_confirm(
        self, sender: int, region: int, epoch: int, runs: Sequence[int], path: Sequence[Any]
    ) -> None:
        ledger = self.ledgers.get(region)
        if ledger is not None:
            ledger.settle(wire.unflat(runs), wire.path_of(path))

    def _on_dropped(
        self, sender: int, region: int, epoch: int, runs: Sequence[int], path: Sequence[Any]
    ) -> None:
        if epoch == self.membership.epoch:  # of an older one: that attempt does not count (rule 9)
            self._on_confirm(sender, region, epoch, runs, path)

    def _on_close(self, sender: int, region: int) -> None:
        for inlet in self.inlets.values():
            if inlet.spec.region == region and inlet.spec.role is not Role.RELAY:
                inlet.closed(sender)

    def _on_define(self, sender: int, token: bytes, blob: bytes) -> None:
        self.decoder.define(token, blob)

    # ------------------------------------------------------ from the supervisor
    def _on_init(
        self, epoch: int, dead: Sequence[int], peers: Sequence[tuple[int, int, str]]
    ) -> None:
        for peer in self.membership.init(epoch, set(dead), [Peer(*p) for p in peers]):
            self._meet(peer)

    def _on_join(self, sender: int, ident: int, segment: int, address: str) -> None:
        peer = Peer(ident, segment, address)
        if self.membership.join(peer):
            self._meet(peer)

    def _open(self, peer: Peer) -> None:
        link = self._link(peer.id)
        if not link.is_open:
            link.open(self._transport.connect(peer.address))

    def _meet(self, peer: Peer) -> None:
        """Connects to a new peer, if there is anything to say to it."""
        for outlet in self.outlets.values():
            if peer.segment in outlet.spec.consumers:
                self._open(peer)
                outlet.accounts.add(peer.id)
                self.tell(
                    peer.id,
                    (wire.HELLO, outlet.spec.stream, self.wiring.segment, self.inbox.address),
                )
            if peer.segment in outlet.spec.receivers and outlet.closed:
                self._open(peer)
                self.tell(peer.id, (wire.CLOSE, outlet.spec.region))
        if peer.id in self._links:  # something waits for its address
            self._open(peer)

    def close_region(self, outlet: Outlet) -> None:
        """Tells all receivers that nothing more comes; the ledger is empty (rule 20)."""
        assert outlet.ledger is not None and outlet.ledger.empty
        outlet.closed = True
        for peer in self.membership.peers.values():
            if peer.segment in outlet.spec.receivers:
                self._open(peer)
                self.tell(peer.id, (wire.CLOSE, outlet.spec.region))

    def _on_start(self, sender: int) -> None:
        self.started = True

    def _on_drain(self, sender: int) -> None:
        self.draining = True

    def _on_leave(self, sender: int) -> None:
        self.leaving = True

    def _on_stop_record(self, sender: int, outcome: str) -> None:
        if self.stopped is None:
            self.stopped = outcome
            self.on_stop()

    def _on_exit(self, sender: int) -> None:
        self.exiting = True
