"""What a worker does about each record that it is sent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.membership import SUPERVISOR, Peer
from minipipe.protocol.flow.credit import Grant
from minipipe.protocol.run.events import CrashSuspect
from minipipe.protocol.wiring import Role
from minipipe.shm import SlotRef
from minipipe.stream import wire
from minipipe.stream.absent import Absences
from minipipe.stream.arrived import Arrived, Key
from minipipe.stream.ends import Ends
from minipipe.stream.fanout import topics_for
from minipipe.stream.fences import Fences
from minipipe.stream.memory import Memory
from minipipe.stream.orders import Orders
from minipipe.stream.outbox import Outbox
from minipipe.stream.peers import Peers
from minipipe.stream.probes import Probes
from minipipe.stream.shipment import release_settled
from minipipe.transport import Buffer

logger = logging.getLogger("minipipe")


class Handlers:
    """Takes messages in, for a worker."""

    def __init__(
        self,
        ends: Ends,
        peers: Peers,
        *,
        outbox: Outbox,
        memory: Memory,
        absences: Absences,
        orders: Orders,
        fences: Fences,
        probes: Probes,
    ) -> None:
        self._ends = ends
        self._peers = peers
        self._membership = peers.membership
        self._outbox = outbox
        self._memory = memory
        self._absences = absences
        self._orders = orders
        self._fences = fences
        self._probes = probes
        self._early: list[wire.Message] = []
        self._by_op: dict[int, Callable[..., None]] = {
            wire.HELLO: self._on_hello,
            wire.GRANT: self._on_grant,
            wire.CONFIRM: self._on_confirm,
            wire.DROPPED: self._on_dropped,
            wire.CLOSE: self._on_close,
            wire.MARK: self._on_mark,
            wire.AT: self._on_at,
            wire.PROBE: self._on_probe,
            wire.INIT: self._on_init,
            wire.JOIN: self._on_join,
            wire.START: self._on_start,
            wire.DRAIN: self._on_drain,
            wire.LEAVE: self._on_leave,
            wire.STOP: self._on_stop,
            wire.EXIT: self._on_exit,
            wire.FENCE: self._on_fence,
            wire.FENCED: self._on_fenced,
        }

    def take(self, message: wire.Message) -> None:
        """Takes a message in, or keeps it until this worker has been told who is there."""
        membership = self._membership
        if membership.born:
            self._take(message)
        elif message.run == membership.run:
            self._before_birth(message)

    def _before_birth(self, message: wire.Message) -> None:
        """Until INIT, all waits: what others say makes no sense before (rule 16)."""
        if message.sender != SUPERVISOR:
            self._early.append(message)
            return
        self._take(message)
        if self._membership.born:
            early, self._early = self._early, []
            for waiting in early:
                self._take(waiting)

    def _take(self, message: wire.Message) -> None:
        if not self._membership.admits(message.run, message.sender):
            return
        for record in message.records:
            op = record[0]
            if op == wire.ITEMS:
                self._on_items(message.sender, message.frames, *record[1:])
                continue
            handler = self._by_op.get(op)
            if handler is None:
                logger.warning("worker %d does not know record %r", self._peers.ident, op)
                continue
            handler(message.sender, *record[1:])

    # ------------------------------------------------------------ from workers
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
        select: Sequence[int],
        keys: Sequence[tuple[int, Sequence[Key]]],
        slots: Sequence[int],
        classes: Sequence[bytes | None],
        body: bytes | tuple[Any, ...],
    ) -> None:
        inlet = self._ends.inlets[stream]
        if len(runs) == 2:
            intervals = [(runs[0], runs[1])]
            count = runs[1] - runs[0]
        else:
            intervals = wire.unflat(runs)
            count = sum(stop - first for first, stop in intervals)
        leaf = wire.path_of(path)
        if inlet.spec.slot is not None:  # a broadcast forks here: the message is the same for all
            leaf = (*leaf, inlet.spec.slot)
        parcel = Arrived(sender, origin, epoch, intervals, leaf, body, frames, count)
        if done:
            parcel.done = frozenset(map(wire.path_of, done))
        if select:
            parcel.select = wire.unflat(select)
        if keys:
            parcel.keys = dict(keys)
        if classes:  # also of a parcel that is dropped: its sender counts on it
            parcel.classes = inlet.producers.named(sender, classes)
        if slots:
            leases = self._memory.borrow(slots)
            if leases is None:
                # Its sender has ended: it counts as not received, and somebody sends it again.
                inlet.missed(parcel)
                pid, now_s = SlotRef.read(slots[: len(SlotRef._fields)]).pid, time.monotonic()
                self._absences.missed(now_s, inlet.spec.region, epoch, sender, pid)
                return
            parcel.leases = leases
        inlet.arrived(parcel)

    def _on_hello(
        self,
        sender: int,
        stream: int,
        segment: int,
        address: str,
        publisher: str,
        with_everybody: bool,
    ) -> None:
        peers = self._peers
        self._outbox.open(Peer(sender, segment, address))
        inlet = self._ends.inlets[stream]
        inlet.producers.hello(sender, segment)
        if publisher:
            topics = topics_for(peers.ident, with_everybody=with_everybody)
            peers.subscribe(sender, publisher, topics)
        # Its window is news to it whatever the window is, so the next flush grants.

    def _on_grant(
        self,
        sender: int,
        stream: int,
        taken: int,
        finished: int,
        window: int,
        service_time_us: int,
        window_scale: int,
    ) -> None:
        said = Grant(taken, finished, window, service_time_us * 1e-6, window_scale)
        grant = self._outbox.granted(stream, sender, said)
        if grant is not None:
            self._ends.outlets[stream].consumers.granted(sender, grant, time.monotonic())

    def _on_confirm(
        self, sender: int, region: int, epoch: int, runs: Sequence[int], path: Sequence[Any]
    ) -> None:
        recovery = self._ends.recoveries.get(region)
        if recovery is not None:
            recovery.ledger.acknowledge(wire.unflat(runs), wire.path_of(path))
            release_settled(recovery.ledger)

    def _on_dropped(
        self, sender: int, region: int, epoch: int, runs: Sequence[int], path: Sequence[Any]
    ) -> None:
        # Of an older epoch: that attempt does not count (rule 9).
        if epoch == self._membership.epoch(region):
            self._on_confirm(sender, region, epoch, runs, path)

    def _on_close(self, sender: int, region: int) -> None:
        segment = self._peers.segment_of(sender)
        for inlet in self._ends.inlets_of(region):
            spec = inlet.spec
            if spec.role is not Role.STATELESS and segment in spec.closers:
                inlet.closed(sender, inner=segment in spec.loop)

    def _on_mark(self, sender: int, region: int, mark: int) -> None:
        for inlet in self._ends.inlets_of(region):
            inlet.marked(sender, mark)

    def _on_at(self, sender: int, region: int, number: int) -> None:
        recovery = self._ends.recoveries.get(region)
        if recovery is not None:
            recovery.ledger.at(sender, number)

    def _on_probe(self, sender: int, *fields: Any) -> None:
        self._probes.on_probe(*fields)

    # ------------------------------------------------------ from the supervisor
    def _on_init(
        self,
        sender: int,
        epochs: Sequence[tuple[int, int]],
        dead: Sequence[Interval],
        peers: Sequence[tuple[int, int, str]],
        crash_suspects: Sequence[CrashSuspect],
        workers: Sequence[tuple[int, int]],
    ) -> None:
        new = self._membership.init(epochs, dead, self._peers.listed(peers))
        self._peers.headcount.told(workers)
        self._ends.count(self._peers.headcount)
        self._orders.note_crash_suspects(crash_suspects)
        for region, epoch in epochs:
            self._ends.begin_epoch(region, epoch)
        for peer in new:
            self._peers.connect(peer)

    def _on_join(self, sender: int, ident: int, segment: int, address: str) -> None:
        peer = Peer(ident, segment, address)
        if self._membership.join(peer):
            self._peers.connect(peer)

    def _on_fence(self, sender: int, *fields: Any) -> None:
        self._fences.on_fence(*fields)

    def _on_fenced(self, sender: int, *fields: Any) -> None:
        self._fences.on_fenced(sender, *fields)

    def _on_start(self, sender: int) -> None:
        self._orders.started = True

    def _on_drain(self, sender: int) -> None:
        self._orders.draining = True

    def _on_leave(self, sender: int) -> None:
        self._orders.leaving = True

    def _on_stop(self, sender: int, outcome: str) -> None:
        self._orders.stop(outcome)

    def _on_exit(self, sender: int) -> None:
        self._orders.exiting = True
