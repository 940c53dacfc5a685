"""The producing end of a stream: items become parcels, parcels go to whom has credit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from minipipe.codec import ATOMS, Encoder, Parcel, small_copy
from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.paths import ROOT, Path
from minipipe.protocol.delivery.recovery import Again, Recovery
from minipipe.protocol.wiring import OutletSpec
from minipipe.stream.arrived import NOTHING_DONE, Done
from minipipe.stream.chooser import Chooser
from minipipe.stream.consumers import Targets, busy_until
from minipipe.stream.pending import Pending, are_plain
from minipipe.stream.shipment import Shipment

PARCEL_S: Final = 0.002  # no item waits longer than this for others to share its parcel
PARCEL_BYTES: Final = 256 * 1024
# After a functor took this long an item is likely alone: it goes at once.  (That is the latency
# of a first item; those of a burst then share parcels.)
PAUSE_S: Final = 0.000_2
BUSY_S: Final = 0.006  # who is busy for so long does not need it at once; by then it has been sent
ATOM_BYTES: Final = 9  # what a number needs in msgpack, at most

# Consumers; whether a broadcast may go to everybody at once, who are then all of its consumers; how
# many items the consumer should allow in all, of whose tickets this is one.
Dispatch = Callable[[OutletSpec, Sequence[int], Shipment, bool, int], None]


class Outlet(Chooser):
    """One worker's end of one stream that it puts to."""

    def __init__(
        self,
        spec: OutletSpec,
        ident: int,
        encoder: Encoder,
        dispatch: Dispatch,
        recovery: Recovery | None,
    ) -> None:
        super().__init__(spec, ident, recovery)
        self.items_out = self.bytes_out = 0
        self.tombstones = 0  # of these, what stands for something dropped
        self.last_closed = -1  # the last pass whose end all receivers were told of
        # (The wiring is no class of the compiled core: what is asked for each parcel is here, too.)
        self._stream, self._exclusive, self._is_keyed = (
            spec.stream,
            spec.exclusive,
            bool(spec.carried),
        )
        self._bundle_size = 0 if spec.bundling is None else spec.bundling.size
        self._encoder = encoder
        self._dispatch = dispatch
        self._origin, self._epoch = ident, 0
        joins = [carried.join for carried in spec.carried]
        self._pending = Pending(joins, numbered=recovery is None)
        self.unsent = self._pending.tokens  # what waits to be sent: to be looked at only
        self.append = self._pending.append
        self.append_bare = self._pending.append_bare
        self.append_number = self._pending.append_number

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

    def set_origin(self, origin: int, epoch: int, path: Path, done: Done = NOTHING_DONE) -> bool:
        """What follows stems from items of this sender.

        Args:
            done: of each of them, what is settled beyond a fork: only after a death is there any.

        Returns:
            False if that cannot be so yet: what waits stems from others, and nobody has a place for
            it now, as a consumer has taken its tickets back.  (It would go under the wrong name.)
        """
        context = (origin, epoch, path, done)
        if context == (self._origin, self._epoch, self._path, self._done):
            return True
        self.flush()
        if self.unsent:
            return False
        self._origin, self._epoch, self._path, self._done = context
        if self.spec.broadcast:
            self.room, self._targets = 0, None  # other groups may get it
        return True

    # ------------------------------------ what is otherwise where items go in bundles
    @property
    def _whole(self) -> int:
        """How many of what waits could be sent now."""
        return len(self._pending.tokens)

    def _fitting(self, count: int) -> int:
        """How many of the oldest `count` there is room for."""
        return min(count, self.room)

    def _numbered(self, count: int) -> tuple[list[Interval], list[Interval]]:
        """The numbers of the oldest `count`: of bundles, if they go in such, and of the items."""
        if self.ledger is None:
            return self._pending.numbers(count), []
        first = self.ledger.next_number
        return [(first, first + count)], []

    def end(self) -> int:
        """Nothing more will be added; how many items are left out, as they make no whole bundle."""
        return 0

    # ---------------------------------------------------------------- after a death
    def fence(self, epoch: int) -> None:
        """Takes in that the epoch is another one.

        What a stateless worker was about to send counts for nothing any more: it is made again.
        """
        self.choose_anew()
        if self.recovery is not None:
            self._epoch = epoch
        elif self._epoch < epoch:
            self._drop_unsent()

    def begin_pass(self) -> None:
        """What comes next is of another pass; what waits still is for nobody any more."""
        self.choose_anew()
        self._drop_unsent()

    def _drop_unsent(self) -> None:
        pending = self._pending
        for token in pending.tokens:
            self._encoder.discard(token)
        pending.drop_oldest(len(pending.tokens), pending.size_bytes)
        if self.consumers.late is not None:
            self.consumers.late.rests()

    def send_again(self, again: Again) -> int:
        """Sends a part of what is open again, as far as there is room; how many that were."""
        shipment = cast("Shipment", again.entry.payload)
        chosen = self.consumers.chosen(ROOT, again.done)
        if chosen is None:
            self._wait()
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
        if type(item) in ATOMS:
            self.append(item, 0, number)
        elif (copied := small_copy(item)) is not None:
            self._pending.append_copied(copied, copied.nbytes, number)
        else:
            self.append(*self.snapshot(item), number)

    def snapshot(self, item: Any) -> tuple[object, int]:
        """A token of an item that is no atom, and its size: `append` is to follow, or `discard`.

        Raises:
            ItemTypeError: the item cannot be sent.
        """
        self._encoder.begin(self._stream, exclusive=self._exclusive)
        return self._encoder.snapshot(item)

    def discard(self, token: object) -> None:
        """A snapshot will not be appended."""
        self._encoder.discard(token)

    def added(self, began_s: float, now_s: float, items: int, pause_s: float = PAUSE_S) -> None:
        """Items were added since `began_s`: sends them if they should not wait.

        They wait for others to share their parcel unless there is no room for others, the
        parcel is large or old, or the functor is so slow that others are not to be expected
        before whoever gets them has nothing to do.

        Args:
            pause_s: it is, if it takes longer than this for an item.
        """
        pending = self._pending
        self.room -= items
        if not pending.tokens:
            return
        if not pending.began_s:
            pending.began_s = now_s if items == 1 else began_s
        each_s = (now_s - began_s) / items if items else 0.0
        if (
            self.room <= 0
            or now_s - pending.began_s > PARCEL_S
            or each_s > PARCEL_S
            or (each_s > pause_s and not self._are_busy_until(now_s + BUSY_S))
            or pending.load_bytes >= PARCEL_BYTES
        ):
            self.flush()

    def _are_busy_until(self, until_s: float) -> bool:
        """Whether those chosen have enough to do, as far as is known, so an item may wait."""
        targets = self._targets
        return targets is not None and busy_until(targets) > until_s

    def is_due(self, now_s: float) -> bool:
        """Whether the oldest item that waits has waited long enough."""
        began_s = self._pending.began_s
        return began_s > 0.0 and now_s - began_s >= PARCEL_S

    def flush(self) -> None:
        """Sends what waits; after a death some of it may have to go on waiting."""
        recovery = self.recovery
        while self.unsent and (count := self._whole):
            if recovery is not None and recovery.busy:
                return  # first what was sent before
            if self._targets is None:
                if not self._choose():
                    self._wait()
                    return
                count = self._fitting(count)
            self._flush(count)

    def _flush(self, count: int) -> None:
        """Sends the oldest `count` of what waits to those chosen."""
        pending, waiting = self._pending, len(self._pending.tokens)
        tokens, size = pending.tokens[:count], pending.size_bytes + ATOM_BYTES * count
        targets, self._targets, self.room = self._targets, None, 0
        assert targets is not None
        if count < waiting:
            size = size * count // waiting
        contents: Parcel | tuple[Any, ...]
        if are_plain(tokens):
            contents = tuple(tokens)
        else:
            self._encoder.begin(self._stream, exclusive=self._exclusive)
            contents = self._encoder.encode(tokens)
        ledger = self.ledger
        runs, members = self._numbered(count)
        keys = pending.keys(count) if self._is_keyed else ()
        shipment = Shipment(
            stream=self._stream,
            epoch=self._epoch,
            origin=self._origin,
            runs=runs,
            path=self._path,
            keys=keys,
            contents=contents,
            done=self._done,
            members=members,
            bundle_size=self._bundle_size,
        )
        # Consumers hold slots as a whole, however little of them it has.
        in_slots = isinstance(contents, Parcel) and bool(contents.held)
        kept_bytes = cast("Parcel", contents).size_bytes if in_slots else size
        # First it goes, then it is booked: somebody may be waiting for it.
        self._send(shipment, targets, kept_bytes)
        self.items_out += count
        self.bytes_out += kept_bytes
        self.tombstones += pending.drop_oldest(count, size)
        if ledger is not None:
            ledger.open(runs[0][1] - runs[0][0], kept_bytes, shipment)
        if pending.tokens and self._whole:
            return
        if targets and not (ledger is not None and ledger.full):
            room = self.consumers.room_if_sole(targets)
            if room >= 0:
                self._targets = targets  # nobody else is to be considered
                self.room = self._items_for(room)

    def _send(self, shipment: Shipment, targets: Targets, size: int) -> None:
        consumers = self.consumers
        everybody, wanted, late = len(targets) == len(consumers.groups), 0, consumers.late
        if late is not None and targets and (late.in_use or late.is_waiting):
            wanted = late.sends(targets[0][1], time.monotonic())
        idents = [targets[0][1]] if len(targets) == 1 else [target for _, target in targets]
        self._dispatch(self.spec, idents, shipment, everybody, wanted)
        consumers.booked(shipment, targets, size, keeps_slots=self.recovery is None)
