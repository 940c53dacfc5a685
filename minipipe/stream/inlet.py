"""The consuming end of a stream: what arrived, what was taken up, what is confirmed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from minipipe.codec import Access
from minipipe.protocol.delivery.headcount import InletCounts
from minipipe.protocol.delivery.intervals import Interval, runs_of
from minipipe.protocol.delivery.numbering import first_of
from minipipe.protocol.flow.credit import WINDOW_BYTES, ServiceTime
from minipipe.protocol.flow.tickets import Tickets
from minipipe.protocol.wiring import InletSpec, Role
from minipipe.stream.arrived import Arrived, Turn
from minipipe.stream.in_order import InOrder
from minipipe.stream.parcel_decoder import ParcelDecoder, apart
from minipipe.stream.producers import Producers, Said


class Inlet:
    """One worker's end of one stream that it takes from."""

    def __init__(
        self, spec: InletSpec, decoder: ParcelDecoder, tickets: Tickets | None = None
    ) -> None:
        self.spec, role = spec, spec.role
        self.is_stateful, self.is_stateless = role is Role.STATEFUL, role is Role.STATELESS
        self._confirms_late = role is Role.FUNCTION_SINK
        self.counts = InletCounts()
        self.access: Access = spec.access
        self.queue: deque[Arrived] = deque()
        self.queued_items = 0
        self.closed_by: set[int] = set()
        self.outer_closed = 0  # of these, how many are not in this worker's loop
        self.turn: Turn | None = None
        self.followed = True  # the status page's item is one of the parcel in work
        self.discards = False  # this segment has ended: what still comes is dropped
        self.discarded = 0
        self.items_in = self.bytes_in = 0
        self.tombstones = 0  # of these, what stood for something dropped before
        self.confirmed = 0
        self.unconfirmed: list[Arrived] = []  # if stateful: read, and to be confirmed
        self.pace = ServiceTime(spec.buffer_size)
        self.producers = Producers(spec, self.pace, tickets)
        # The epoch that items begin in; if stateless, those of a higher one wait for its FENCE.
        self.epoch = 0
        self.seen_epoch = 0  # if stateless: the highest that an item has come in
        self._producers, self._took = self.producers.by_ident, self.producers.took
        self._decode = decoder.decode
        self._in_order = InOrder()  # if it takes items so: those whose turn it is not

    # ------------------------------------------------------------- arriving
    def arrived(self, parcel: Arrived) -> None:
        """Takes a parcel in, or drops it, if it is of an epoch that is over."""
        producer = self._producers[parcel.producer]
        producer.arrived += parcel.count
        if parcel.epoch < self.seen_epoch:
            self._drop(parcel)
            return
        if parcel.epoch > self.seen_epoch and self.is_stateless:
            self._purge(parcel.epoch)
        if self.is_stateful:
            # Reading and the test of the epoch are one step with this (rule 7): what is in here
            # is confirmed before anything else is said to its origin.
            self.unconfirmed.append(parcel)
        if self.discards:
            self._discard(parcel)
            return
        self.queued_items += parcel.count
        if not self.spec.ordered:
            self.queue.append(parcel)
            return
        # Here credit comes back when a parcel is read: what it waits for may need that credit.
        self.producers.changed.add(parcel.producer)
        producer.consumed += parcel.count
        producer.freed_bytes += parcel.size_bytes
        self._in_order.add(parcel)
        self._hand_over(parcel.origin)

    def marked(self, sender: int, mark: int) -> None:
        """All that this sender has sent below this number is settled."""
        if self.spec.ordered:
            self._in_order.marked(sender, mark)
            self._hand_over(sender)

    def _hand_over(self, sender: int) -> None:
        """Moves what it is the turn of to the queue."""
        self.queue.extend(self._in_order.due(sender, is_gapless=self.counts.is_gapless))

    def lowest(self, sender: int) -> int:
        """The lowest number of this sender that is here and was not given to the functor (AT)."""
        turn = self.turn
        if turn is not None and turn.parcel.origin == sender and turn.begun < turn.parcel.count:
            return turn.numbers[turn.begun]
        for parcel in self.queue:
            if parcel.origin == sender:
                return parcel.runs[0][0]
        return self._in_order.lowest(sender)

    def missed(self, parcel: Arrived) -> None:
        """What a parcel refers to is gone: it was not received, and nobody waits for its credit."""
        self._producers[parcel.producer].arrived += parcel.count
        self._took(parcel, parcel.count)

    def fence(self, epoch: int) -> None:
        """Takes in that items of lower epochs, should any still come, count for nothing.

        A stateless worker drops those that it has; a receiver has confirmed its own, or says so
        (`held`).
        """
        self.epoch = max(epoch, self.epoch)
        if self.is_stateless:
            self._purge(epoch)
        else:
            self.seen_epoch = max(epoch, self.seen_epoch)

    def _purge(self, epoch: int) -> None:
        if epoch <= self.seen_epoch:
            return
        self.seen_epoch = epoch
        if self.turn is not None and self.turn.parcel.epoch < epoch:
            self.turn.stale = True
            self.turn.drops = []
        kept = [parcel for parcel in self.queue if parcel.epoch >= epoch]
        for parcel in self.queue:
            if parcel.epoch < epoch:
                self.queued_items -= parcel.count
                self._drop(parcel)
        self.queue = deque(kept)

    @property
    def ready(self) -> bool:
        """Whether a parcel waits that may be begun.

        Not before its FENCE: what is made of it would go to whom this worker takes to be alive.
        """
        return bool(self.queue) and self.queue[0].epoch <= self.epoch

    @property
    def held(self) -> list[tuple[Arrived, list[Interval]]]:
        """What a function Sink has taken and not confirmed yet: it will do it, so nobody else is
        to.  (All else has confirmed whatever it has read.)
        """
        if not self._confirms_late:
            return []
        found = [(parcel, list(parcel.runs)) for parcel in self.queue]
        if self.turn is not None:
            rest = self.turn.numbers[self.turn.told_finished :]
            found.append((self.turn.parcel, runs_of(rest)))
        return found

    def abandon(self) -> int:
        """Drops what is left of the parcel in work; how many items that was."""
        turn = self.turn
        assert turn is not None
        parcel = turn.parcel
        left = parcel.count - turn.begun
        # Which `end` takes for begun.
        self.items_in -= parcel.items_before(parcel.count) - parcel.items_before(turn.begun)
        turn.reached(turn.parcel.count)
        self.end()
        return left

    def discard(self) -> None:
        """From now on, whatever waits and whatever comes is dropped."""
        self.discards = True
        if self.turn is not None:
            self.discarded += self.abandon()
        while self.queue:
            parcel = self.queue.popleft()
            self.queued_items -= parcel.count
            self._discard(parcel)

    def _discard(self, parcel: Arrived) -> None:
        self.discarded += parcel.count
        self._drop(parcel)

    def _drop(self, parcel: Arrived) -> None:
        self._took(parcel, parcel.count)
        parcel.release()

    def closed(self, sender: int, pass_: int = 0, *, inner: bool = False) -> None:
        """A sender has sent its last of this pass; `inner`: it is in the same loop."""
        if sender not in self.closed_by:
            self.marked(sender, first_of(pass_ + 1))
            self.closed_by.add(sender)
            self.outer_closed += not inner

    def begin_pass(self, pass_: int) -> None:
        """What comes from now on is of this pass; what is here still is for nobody any more.

        Not if stateless: that drops what is of an older epoch.
        """
        self.closed_by.clear()
        self.outer_closed = self.discarded = 0
        self.discards = False
        if self.turn is not None:  # whoever works on it lets go of it
            self.turn.stale = True
        waiting = [*self.queue, *self._in_order.begin_pass(pass_)]
        self.queue.clear()
        for parcel in waiting:
            self.queued_items -= parcel.count
            self._drop(parcel)

    @property
    def size_bytes(self) -> int:
        """What waits here, and the parcel in work."""
        waiting = [*self.queue, *([self.turn.parcel] if self.turn is not None else ())]
        return sum(parcel.size_bytes for parcel in waiting)

    @property
    def holds_up(self) -> bool:
        """Whether a producer waits for this inlet, and for nothing else of it, to have room."""
        if 2 * self.size_bytes >= WINDOW_BYTES * self.pace.window_scale:
            return True
        return self.producers.wait_for_room

    @property
    def owes(self) -> bool:
        """Whether a sender may be waiting to hear that large items have arrived."""
        return bool(self.unconfirmed) and any(p.frames or p.leases for p in self.unconfirmed)

    @property
    def ended(self) -> bool:
        """All senders of the region have closed, and everything was worked off."""
        all_closed = self.counts.all_closed(len(self.closed_by))
        return all_closed and not self.queue and self.turn is None

    # --------------------------------------------------------------- taking
    def next_batch(self) -> Turn:
        """The oldest parcel, decoded: it is in work from now on.

        Raises:
            Exception: whatever unpickling raises, which runs code of the user's classes; then the
                parcel still waits.
        """
        parcel = self.queue[0]  # (if it has plain numbers, they are nobody else's)
        access = self.access if type(parcel.body) is tuple else apart(self.access)
        items = self._decode(parcel, access)
        self.queue.popleft()
        numbers: Sequence[int] = range(*parcel.runs[0])
        if len(parcel.runs) > 1:
            numbers = [n for run in parcel.runs for n in range(*run)]
        self.turn = Turn(parcel, items, numbers, access=access)
        return self.turn

    def end(self, *, keeps: bool = False) -> None:
        """The parcel in work is finished; `keeps`: others work on, and release it at last."""
        turn = self.turn
        assert turn is not None and turn.begun == turn.parcel.count
        parcel = turn.parcel
        self._took(parcel, turn.begun)
        self.queued_items -= turn.begun
        self.items_in += parcel.items_before(turn.begun) if parcel.members else turn.begun
        self.turn = None
        if not keeps and (parcel.leases or parcel.whole is not None):
            parcel.release()

    # ------------------------------------------------------------ reporting
    def grants(self, *, idle: bool) -> list[Said]:
        """What producers should hear now; `idle`: there is nothing to do."""
        counts, producers = self.counts, self.producers
        withdraws = self.discards and not counts.is_alone  # what it drops, others could take
        tickets = producers.tickets
        may_deal = tickets is not None and (tickets.in_force or counts.producers > 1)
        if may_deal and producers.deals(counts, withdraws=withdraws):
            everybody = len(producers.by_ident) >= counts.producers
            return producers.deal(self.turn, self.queued_items, everybody=everybody, idle=idle)
        return producers.grants(self.turn, withdraws=withdraws, is_alone=counts.is_alone, idle=idle)

    def confirmations(self) -> list[tuple[Arrived, list[Interval]]]:
        """The items to confirm now, each with a parcel that says whose they are.

        Of a stateful one, what has arrived since last asked; of a function Sink, what is finished.
        """
        if self.is_stateful:
            read, self.unconfirmed = self.unconfirmed, []
            for parcel in read:
                self.confirmed += parcel.count
            return [(parcel, parcel.runs) for parcel in read]
        turn = self.turn
        if turn is None or not self._confirms_late:
            return []
        done = turn.finished
        if done <= turn.told_finished:
            return []
        runs = runs_of(turn.numbers[turn.told_finished : done])
        self.confirmed += done - turn.told_finished
        turn.told_finished = done
        return [(turn.parcel, runs)]

    def drops(self) -> tuple[Arrived, list[Interval]] | None:
        """Of the parcel in work of a stateless one: the items that gave None since last asked."""
        turn = self.turn
        if turn is None or not turn.drops:
            return None
        runs = runs_of(turn.drops)
        turn.drops = []
        return turn.parcel, runs
