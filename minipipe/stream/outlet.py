"""The producing end of a stream: items become parcels, parcels go to whom has credit."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, cast

from minipipe.codec import ATOMS, Encoder
from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.paths import ROOT, Path
from minipipe.protocol.delivery.recovery import Again, Recovery
from minipipe.protocol.wiring import OutletSpec
from minipipe.stream.arrived import NOTHING_DONE, Done
from minipipe.stream.consumers import Consumers, Targets
from minipipe.stream.pending import Pending
from minipipe.stream.shipment import Shipment

PARCEL_S = 0.002  # no item waits longer than this for others to share its parcel
PARCEL_BYTES = 256 * 1024
# After a functor took this long an item is likely alone: it goes at once.  (That is the latency
# of a first item; those of a burst then share parcels.)
PAUSE_S = 0.000_2
ATOM_BYTES = 9  # what a number needs in msgpack, at most

# Consumers; whether a broadcast may go to everybody at once, who are then all of its consumers.
Dispatch = Callable[[OutletSpec, Sequence[int], Shipment, bool], None]


def _are_plain(tokens: list[Any]) -> bool:
    """Whether msgpack has all of them: floats, or integers of at most 64 bits."""
    if len(tokens) == 1:  # somebody waits for this one
        kind = type(tokens[0])
        return kind is float or (kind is int and -(2**63) <= tokens[0] < 2**63)
    kinds = set(map(type, tokens))
    if kinds == {int}:
        return min(tokens) >= -(2**63) and max(tokens) < 2**63  # type: ignore[no-any-return]
    return kinds == {float}


class Outlet:
    """One worker's end of one stream that it puts to."""

    def __init__(
        self,
        spec: OutletSpec,
        ident: int,
        encoder: Encoder,
        dispatch: Dispatch,
        recovery: Recovery | None,
    ) -> None:
        self.spec = spec
        self.consumers = Consumers(spec)
        self.recovery = recovery  # None: it is stateless
        self.ledger: Ledger | None = None if recovery is None else recovery.ledger
        self.items_out = 0
        self.tombstones = 0  # of these, what stands for something dropped
        self.closed = False
        self._encoder = encoder
        self._dispatch = dispatch
        self._origin, self._epoch, self._path, self._done = ident, 0, ROOT, NOTHING_DONE
        joins = [carried.join for carried in spec.carried]
        self._pending = Pending(joins, numbered=recovery is None)
        self.append = self._pending.append
        self.append_bare = self._pending.append_bare
        self.append_number = self._pending.append_number
        self.room = 0  # how many more the consumers chosen for it have credit for
        self._targets: Targets | None = None  # of the parcel under way

    @property
    def next_number(self) -> int:
        """The number that the next item will have, if this is a sender."""
        return self.ledger.next_number + len(self._pending.tokens) if self.ledger else -1

    @property
    def has_unsent(self) -> bool:
        """Whether items wait to be sent."""
        return bool(self._pending.tokens)

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be sent, and all that was is settled."""
        return not self._pending.tokens and (self.ledger is None or self.ledger.empty)

    def set_origin(self, origin: int, epoch: int, path: Path, done: Done = NOTHING_DONE) -> None:
        """What follows stems from items of this sender.

        Args:
            done: of each of them, what is settled beyond a fork: only after a death is there any.
        """
        context = (origin, epoch, path, done)
        if context != (self._origin, self._epoch, self._path, self._done):
            self.flush()
            self._origin, self._epoch, self._path, self._done = context
            if self.spec.broadcast:
                self.room, self._targets = 0, None  # other groups may get it

    @property
    def ready(self) -> bool:
        """Whether an item could be added now: there is `room`."""
        if self.room > 0:
            return True
        pending = self._pending
        if pending.tokens:
            self.flush()
            if pending.tokens:
                return False
        recovery = self.recovery
        if recovery is not None and (recovery.busy or recovery.ledger.full):
            return False
        return self._choose()

    def _choose(self) -> bool:
        """Chooses who gets the next parcel; False if that is nobody now."""
        chosen = self.consumers.chosen(self._path, self._done)
        if chosen is None:
            return False
        self._targets, self.room = chosen
        return True

    def reconsider(self) -> None:
        """Time has passed since the consumer was chosen: another one may be the better by now."""
        if not self._pending.tokens and not self.consumers.sole:
            self.room = 0

    @property
    def held_up_by(self) -> list[int]:
        """The consumers that have no room; all of them, if it is the ledger that is full."""
        return self.consumers.held_up_by(full=self.ledger is not None and self.ledger.full)

    # ---------------------------------------------------------------- after a death
    def forget(self, dead: Container[int]) -> None:
        """Sends nothing more to these."""
        self.consumers.forget(dead)
        self.room, self._targets = 0, None

    def retire(self, consumer: int) -> None:
        """Sends nothing more to one that is to leave."""
        self.consumers.retire(consumer)
        self.room, self._targets = 0, None

    def fence(self, epoch: int) -> None:
        """Takes in that the epoch is another one.

        What a stateless worker was about to send counts for nothing any more: it is made again.
        """
        self.room, self._targets = 0, None
        if self.recovery is not None:
            self._epoch = epoch
        elif self._epoch < epoch:
            pending = self._pending
            for token in pending.tokens:
                self._encoder.discard(token)
            pending.drop_oldest(len(pending.tokens), pending.size_bytes)

    def send_again(self, again: Again) -> int:
        """Sends a part of what is open again, as far as there is room; how many that were."""
        shipment = cast("Shipment", again.entry.payload)
        chosen = self.consumers.chosen(ROOT, again.done)
        if chosen is None:
            return 0
        targets, room = chosen
        count = min(room, again.stop - again.first)
        if not count:
            return 0
        whole = again.entry.stop - again.entry.first
        part = shipment.part(self._epoch, again.first - again.entry.first, count, again.done)
        self._send(part, targets, again.entry.size_bytes * count // whole)
        return count

    # -------------------------------------------------------------------- sending
    def add(self, item: Any, number: int = -1) -> None:
        """Adds an item as it is now; there must be room.

        Args:
            number: that of the item it was made of, if this is stateless.

        Raises:
            ItemTypeError: the item cannot be sent.
        """
        if type(item) not in ATOMS:
            self.append(*self.snapshot(item), number)
        else:
            self.append(item, 0, number)

    def snapshot(self, item: Any) -> tuple[object, int]:
        """A token of an item that is no atom, and its size: `append` is to follow, or `discard`.

        Raises:
            ItemTypeError: the item cannot be sent.
        """
        self._encoder.exclusive = self.spec.exclusive
        return self._encoder.snapshot(item)

    def discard(self, token: object) -> None:
        """A snapshot will not be appended."""
        self._encoder.discard(token)

    def added(self, began_s: float, now_s: float, items: int) -> None:
        """Items were added since `began_s`: sends them if they should not wait.

        They wait for others to share their parcel unless there is no room for others, the
        parcel is large or old, or the functor is so slow that others are not to be expected.
        """
        pending = self._pending
        self.room -= items
        if not pending.tokens:
            return
        if not pending.began_s:
            pending.began_s = began_s
        if (
            self.room <= 0
            or now_s - pending.began_s > PARCEL_S
            or now_s - began_s > items * PAUSE_S
            or pending.load_bytes >= PARCEL_BYTES
        ):
            self.flush()

    def flush_if_due(self, now_s: float) -> None:
        """Sends the parcel if its oldest item has waited long enough."""
        pending = self._pending
        if pending.tokens and pending.began_s and now_s - pending.began_s >= PARCEL_S:
            self.flush()

    def flush(self) -> None:
        """Sends what waits; after a death some of it may have to go on waiting."""
        recovery, tokens = self.recovery, self._pending.tokens
        while tokens:
            if recovery is not None and recovery.busy:
                return  # first what was sent before
            count = len(tokens)
            if self._targets is None:
                if not self._choose():
                    return
                count = min(count, self.room)
            self._flush(count)

    def _flush(self, count: int) -> None:
        """Sends the oldest `count` of what waits to those chosen."""
        pending, waiting = self._pending, len(self._pending.tokens)
        tokens, size = pending.tokens[:count], pending.size_bytes + ATOM_BYTES * count
        targets, self._targets, self.room = self._targets, None, 0
        assert targets is not None
        rest = waiting - count
        if rest:
            size = size * count // waiting
        contents = tuple(tokens) if _are_plain(tokens) else self._encoder.encode(tokens)
        ledger = self.ledger
        if ledger is not None:
            first = ledger.next_number
            runs = [(first, first + count)]
        else:
            runs = pending.numbers(count)
        keys = pending.keys(count)
        shipment = Shipment(
            stream=self.spec.stream,
            epoch=self._epoch,
            origin=self._origin,
            runs=runs,
            path=self._path,
            keys=keys,
            contents=contents,
            done=self._done,
        )
        # First it goes, then it is booked: somebody may be waiting for it.
        self._send(shipment, targets, size)
        self.items_out += count
        self.tombstones += pending.drop_oldest(count, size)
        if ledger is not None:
            ledger.open(count, size, shipment)
        full = ledger is not None and ledger.full
        if targets and self.consumers.sole and not rest and not full:  # nobody else is considered
            self._targets = targets
            self.room = min(accounts.room_items(target) for accounts, target in targets)

    def _send(self, shipment: Shipment, targets: Targets, size: int) -> None:
        consumers = self.consumers
        everybody = len(targets) == len(consumers.groups)
        self._dispatch(self.spec, [target for _, target in targets], shipment, everybody)
        consumers.booked(shipment, targets, size, keeps_slots=self.recovery is None)
