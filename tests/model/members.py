"""A member of a run that changes while it runs: what it does on each message, and of itself.

The rules are in tests/model/changes.py.  Books are kept by the modules themselves: `Ledger`,
`Recovery`, `Order`, `Membership`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.membership import SUPERVISOR, Membership, Peer
from minipipe.protocol.delivery.order import Order
from minipipe.protocol.delivery.paths import ROOT
from minipipe.protocol.delivery.recovery import Recovery

if TYPE_CHECKING:
    from tests.model.supervision import Supervision

Value = tuple[int, int]  # the pass that it is of, and which of it
STATELESS = "T"
ALL = 2**62
RECEIVERS = "AFKO"
SENDERS = "SA"


class Member:
    """One worker: Source, stateless, with state in the middle, or a final receiver."""

    def __init__(self, run: Supervision, ident: int, stage: int) -> None:
        self.run, self.id, self.stage = run, ident, stage
        self.kind = run.shape.stages[stage][0]
        self.known = Membership(1)
        self.pass_ = 0
        self.queue: list[Any] = []  # taken, and not begun
        self.running: Any = None
        self.closed_by: set[int] = set()
        self.waits_for_start = False  # only where rule 27 is left out
        self.orders: dict[int, Order[Any]] = {}
        self.last_number: dict[int, int] = {}  # handed over in order, by sender: for the check
        self.got: list[Value] = []
        # As a sender.
        self.ledger = Ledger(limit_bytes=10**6, min_items=10**6)
        self.recovery = Recovery(self.ledger)
        self.closed = -1  # the last pass that it has closed
        self.made = 0
        self.out: list[Value] = []
        # As one that leaves.
        self.producers: tuple[int, ...] | None = None
        self.lasts: set[int] = set()
        self.sent_to: set[int] = set()
        self.taken_by: set[int] | None = None

    def send(self, target: int, *message: Any) -> None:
        self.sent_to.add(target)
        self.run.post(self.id, target, message)

    @property
    def targets(self) -> list[int]:
        return sorted(p.id for p in self.known.peers.values() if p.segment == self.stage + 1)

    @property
    def heard_of_receivers(self) -> list[int]:
        last = self.run.receiving_stage(self.run.sends_in[self.stage])
        return sorted(p.id for p in self.known.peers.values() if p.segment == last)

    # ------------------------------------------------------------------ messages
    def hear(self, source: int, message: tuple[Any, ...]) -> None:
        if self.known.admits(1, source):
            getattr(self, "on_" + message[0])(source, *message[1:])

    def on_init(self, _: int, epochs: Any, dead: Any, peers: list[Peer], pass_: int) -> None:
        self.known.init(epochs, dead, peers)
        self.pass_ = 0 if self.run.off("the pass in INIT") else pass_

    def on_join(self, _: int, peer: Peer) -> None:
        self.known.join(peer)
        if self.kind in SENDERS and peer.id in self.heard_of_receivers:
            if self.run.ordered:
                self.send(peer.id, "mark", self.ledger.mark, self.pass_)
            if self.closed >= 0:
                if self.run.off("CLOSE of the last pass closed") and self.closed < self.pass_:
                    return
                self.send(peer.id, "close", self.closed, self.ledger.next_number)

    def on_item(self, _: int, sender: int, number: int, epoch: int, value: Value) -> None:
        if epoch < self.known.epoch(self.run.takes_in[self.stage]):
            return
        if self.kind in RECEIVERS:
            assert value[0] == self.pass_, f"an item of pass {value[0]} in pass {self.pass_}"
            assert sender not in self.closed_by, f"item {value} after CLOSE"
        if self.kind in "TFA":
            self.queue.append((sender, number, epoch, value))
        if self.kind == "O":
            order = self.orders.setdefault(sender, Order(gapless=False))
            order.add([(number, number + 1)], (), (number, value))
            self._hand_over(sender)
        elif self.kind in "AK":
            self._gets(value)
        if self.kind in "AKO":
            self.send(sender, "confirm", number)

    def _gets(self, value: Value) -> None:
        self.got.append(value)
        self.run.given(self, value)

    def _hand_over(self, sender: int) -> None:
        while (piece := self.orders[sender].pop()) is not None:
            number, value = piece.parcel
            assert number > self.last_number.get(sender, -1), f"out of order: item {value}"
            self.last_number[sender] = number
            self._gets(value)

    def on_mark(self, source: int, mark: int, pass_: int) -> None:
        if pass_ != self.pass_ and not self.run.off("the pass in MARK"):
            return
        if self.kind == "O":
            self.orders.setdefault(source, Order(gapless=False)).marked(mark)
            self._hand_over(source)

    def on_close(self, source: int, pass_: int, number: int) -> None:
        if pass_ != self.pass_ and not self.run.off("the pass in CLOSE"):
            assert pass_ < self.pass_, f"CLOSE of pass {pass_} in pass {self.pass_}"
            return
        self.closed_by.add(source)
        mark = ALL if self.run.off("CLOSE marks up to a number") else number
        self.on_mark(source, mark, self.pass_)

    def on_start(self, _: int, pass_: int) -> None:
        self.pass_, self.made = pass_, 0
        if self.waits_for_start:
            self.closed_by.clear()
            self.waits_for_start = False

    def on_confirm(self, _: int, number: int) -> None:
        self.ledger.acknowledge([(number, number + 1)], ROOT)
        self._mark()

    def on_dropped(self, _: int, number: int, epoch: int) -> None:
        if epoch == self.recovery.epoch:
            self.on_confirm(_, number)

    def _mark(self) -> None:
        if self.run.ordered:
            for receiver in self.heard_of_receivers:
                self.send(receiver, "mark", self.ledger.mark, self.pass_)

    # ------------------------------------------------------------------ epochs
    def on_fence(self, _: int, regions: Any, dead: Any, pass_: int | None) -> None:
        if pass_ is not None:
            self._abandon(pass_)
        self.known.mark_dead(dead)
        for region, epoch, receivers in regions:
            if not self.known.fence(region, epoch, dead):
                continue
            if self.run.takes_in[self.stage] != region:
                pass  # an epoch is a region's
            elif self.kind == STATELESS:
                self.queue = [item for item in self.queue if item[2] >= epoch]
            else:
                held = [*self.queue, self.running] if self.kind == "F" else []
                for sender in self.run.senders(region):
                    numbers = [item[1] for item in held if item and item[0] == sender]
                    self.send(sender, "fenced", epoch, numbers)
            if self.kind in SENDERS and self.run.sends_in[self.stage] == region:
                self.recovery.lost(self.known.dead)
                waits_for = () if self.run.off("waiting for FENCED") else receivers
                self.recovery.fence(epoch, waits_for)

    def on_fenced(self, source: int, epoch: int, numbers: list[int]) -> None:
        self.recovery.fenced(source, epoch, [([(n, n + 1)], ROOT) for n in numbers])

    def _abandon(self, pass_: int) -> None:
        """A pass is left early (rule 28)."""
        self.pass_, self.made = pass_, 0
        self.closed_by.clear()
        if self.kind in RECEIVERS and not self.run.off("queues purged"):
            self.queue.clear()
            self.orders.clear()
        if self.kind in SENDERS:
            self.out.clear()
            if not self.run.off("numbers run on"):
                if self.ledger.next_number and not self.run.off("ledgers emptied"):
                    self.ledger.acknowledge([(0, self.ledger.next_number)], ROOT)
            else:
                self.ledger = Ledger(limit_bytes=10**6, min_items=10**6)
                self.recovery.ledger = self.ledger

    # ------------------------------------------------------------------ leaving (rule 23)
    def on_retiring(self, _: int, ident: int) -> None:
        self.known.peers.pop(ident, None)
        self.send(ident, "last")

    def on_last(self, source: int) -> None:
        self.lasts.add(source)

    def on_retire(self, _: int, producers: tuple[int, ...]) -> None:
        self.producers = producers

    def on_bye(self, source: int) -> None:
        self.send(source, "taken")

    def on_taken(self, source: int) -> None:
        if self.taken_by is not None:
            self.taken_by.add(source)

    def on_gone(self, _: int, ident: int) -> None:
        if not self.run.off("GONE counts"):
            self.known.mark_dead([(ident, ident + 1)])

    def _waits_for(self, members: Any, heard: set[int]) -> bool:
        return any(m not in heard and m not in self.known.dead for m in members)

    # ------------------------------------------------------------------ what it does of itself
    def steps(self) -> Iterator[tuple[Any, ...]]:
        if not self.known.born:
            return
        if self.kind in SENDERS and self._has_to_send():
            yield from (("pass_on", self.id, target) for target in self.targets)
        may_begin = self.queue and self.running is None
        if may_begin and (
            self.kind != STATELESS or self.queue[0][2] <= self.known.epoch(self._region)
        ):
            yield "begin", self.id
        if self.running is not None:
            if self.kind == STATELESS:
                yield from (("finish", self.id, target) for target in self.targets)
            if self.kind != STATELESS or self.run.shape.drops:
                yield "finish", self.id, None
        if self._ended():
            yield "end", self.id
        if self.producers is not None:
            yield from self._steps_of_leaving(self.producers)

    @property
    def _region(self) -> int:
        return self.run.takes_in[self.stage]

    def _steps_of_leaving(self, producers: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
        idle = not self.queue and self.running is None
        if self.taken_by is None:
            hears_last = not self.run.off("LAST")
            if idle and not (hears_last and self._waits_for(producers, self.lasts)):
                yield "bye", self.id
        elif self.run.off("TAKEN") or not self._waits_for(self.sent_to, self.taken_by):
            yield "go", self.id

    def _has_to_send(self) -> bool:
        if self.recovery.busy:
            return not self.recovery.paused and self.recovery.next() is not None
        if self.kind == "A":
            return bool(self.out)
        return self.pass_ < self.run.shape.passes and self.made < self.run.shape.items

    def _ended(self) -> bool:
        """Whether its pass is over for it."""
        if self.kind == STATELESS or self.pass_ >= self.run.shape.passes:
            return False
        if self.waits_for_start:
            return False
        if self.kind in RECEIVERS and self.closed_by != self.run.senders(self._region):
            return False
        if self.queue or self.running is not None:
            return False
        if self.kind in SENDERS:
            is_new = self.closed < self.pass_
            return is_new and not self._has_to_send() and self.sent_and_settled
        return True

    @property
    def sent_and_settled(self) -> bool:
        return self.ledger.empty and not self.recovery.busy

    def pass_on(self, target: int) -> None:
        again = self.recovery.next() if self.recovery.busy else None
        if again is not None:
            number, value = again.first, again.entry.payload
            self.recovery.sent(again.stop)
            self.recovery.next()
        else:
            value = self.out.pop(0) if self.kind == "A" else (self.pass_, self.made)
            self.made += 1
            number = self.ledger.open(1, 1, value)
        self.send(target, "item", self.id, number, self.recovery.epoch, value)

    def begin(self) -> None:
        self.running = self.queue.pop(0)
        sender, number, epoch, value = self.running
        if self.run.is_poison(self.stage, value):
            self.running = None
            if self.kind == "F":
                self.send(sender, "confirm", number)
            elif self.kind == STATELESS:
                self.send(sender, "dropped", number, epoch)
        elif self.kind == "F":
            assert value[0] == self.pass_, f"begins an item of pass {value[0]} in {self.pass_}"
            self._gets(value)

    def finish(self, target: int | None) -> None:
        (sender, number, epoch, value), self.running = self.running, None
        if self.kind == "F":
            self.send(sender, "confirm", number)
        elif self.kind == "A":
            if value[0] == self.pass_ or self.run.off("stale results of an anchor"):
                self.out.append(value)
        elif target is None:
            self.run.dropped.add(value)
            self.send(sender, "dropped", number, epoch)
        else:
            self.send(target, "item", sender, number, epoch, value)

    def end(self) -> None:
        if self.kind in SENDERS:
            self.closed = self.pass_
            for receiver in self.heard_of_receivers:
                self.send(receiver, "close", self.pass_, self.ledger.next_number)
        self.send(SUPERVISOR, "done", self.pass_)
        if self.kind in RECEIVERS and self.run.off("DONE moves on"):
            self.waits_for_start = True
        elif self.kind in RECEIVERS:  # what comes next is of the next pass: none starts before this
            self.pass_ += 1
            self.closed_by.clear()

    def bye(self) -> None:
        self.taken_by = set()
        if self.run.off("BYE to senders"):
            self.sent_to -= self.run.senders(self._region)
        for target in sorted(self.sent_to):
            self.send(target, "bye")

    def go(self) -> None:
        self.run.left(self.id)
