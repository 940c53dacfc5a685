"""The producing end of a stream: items become parcels, parcels go to whom has credit."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, cast

from minipipe.codec import ATOMS, Encoder, SharedArray
from minipipe.protocol.delivery.intervals import runs_of
from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.paths import ROOT, Path
from minipipe.protocol.delivery.recovery import Again, Recovery
from minipipe.protocol.wiring import OutletSpec
from minipipe.stream.arrived import NOTHING_DONE, Done, Key
from minipipe.stream.consumers import Consumers, Targets
from minipipe.stream.shipment import Keys, Shipment

PARCEL_S = 0.002  # no item waits longer than this for others to share its parcel
PARCEL_BYTES = 256 * 1024
# An array in a slot is only referred to: 64 of 64 KiB in a parcel instead of 4 are 15 % faster.
SLOT_SHARE = 1 / 16
# After a functor took this long an item is likely alone: it goes at once.  (That is the latency
# of a first item; those of a burst then share parcels.)
PAUSE_S = 0.000_2
ATOM_BYTES = 9  # what a number needs in msgpack, at most
# Immutable, and of a size that need not be looked at.
FAST = frozenset((int, float, bool))

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
        self.tombstones_waiting = 0  # in the parcel under way
        self.closed = False
        self._encoder = encoder
        self._dispatch = dispatch
        self._origin, self._epoch, self._path, self._done = ident, 0, ROOT, NOTHING_DONE
        # What the parcel under way holds.  The worker's loop appends to them itself: `tokens`
        # gets what is in `FAST` as it is, all else goes through `add`.
        self.tokens: list[object] = []
        self.numbers: list[int] = []  # of the tokens, if stateless
        # Of the tokens, for each join that wants to know: what they had as identity at its fork.
        self.keys: dict[int, list[Key]] = {carried.join: [] for carried in spec.carried}
        self.room = 0  # how many more the consumers chosen for it have credit for
        self._size = 0
        self._load = 0.0  # the same, with slots for a fraction: how large the parcel is
        self._targets: Targets | None = None  # of the parcel under way
        self._began_s = 0.0  # when the oldest token was made; 0: there is none

    @property
    def next_number(self) -> int:
        """The number that the next item will have, if this is a sender."""
        return self.ledger.next_number + len(self.tokens) if self.ledger else -1

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be sent, and all that was is settled."""
        return not self.tokens and (self.ledger is None or self.ledger.empty)

    def relay(self, origin: int, epoch: int, path: Path, done: Done = NOTHING_DONE) -> None:
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
        if self.tokens:
            self.flush()
            if self.tokens:
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
        if not self.tokens and not self.consumers.sole:
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
            for token in self.tokens:
                self._encoder.discard(token)
            self._emptied()
            self.tombstones_waiting = 0

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
    def add(self, item: Any) -> None:
        """Adds an item; there must be room.  (Numbers, and small numbers: see `tokens`.)

        Raises:
            ItemTypeError: the item cannot be sent.
        """
        if type(item) not in ATOMS:
            self.put(*self.snapshot(item))
        else:
            self.put(item, 0)

    def snapshot(self, item: Any) -> tuple[object, int]:
        """An item that is no atom as `put` takes it, which is to follow, or `discard`; its size.

        Raises:
            ItemTypeError: the item cannot be sent.
        """
        self._encoder.exclusive = self.spec.exclusive
        return self._encoder.snapshot(item)

    def discard(self, token: object) -> None:
        """A snapshot will not be put."""
        self._encoder.discard(token)

    def put(self, item: object, size: int) -> None:
        """Adds an atom, or a snapshot of this size; there must be room."""
        kind = type(item)
        if kind not in ATOMS:
            self._size += size
            self._load += size * SLOT_SHARE if type(item) is SharedArray else size
        elif kind is str or kind is bytes:
            size = len(item)  # type: ignore[arg-type]
            self._size += size
            self._load += size
        self.tokens.append(item)

    def added(self, began_s: float, now_s: float, items: int) -> None:
        """Items were added since `began_s`: sends them if they should not wait.

        They wait for others to share their parcel unless there is no room for others, the
        parcel is large or old, or the functor is so slow that others are not to be expected.
        """
        tokens = self.tokens
        self.room -= items
        if not tokens:
            return
        if not self._began_s:
            self._began_s = began_s
        if (
            self.room <= 0
            or now_s - self._began_s > PARCEL_S
            or now_s - began_s > items * PAUSE_S
            or self._load >= PARCEL_BYTES
        ):
            self.flush()

    def flush_if_due(self, now_s: float) -> None:
        """Sends the parcel if its oldest item has waited long enough."""
        if self.tokens and self._began_s and now_s - self._began_s >= PARCEL_S:
            self.flush()

    def flush(self) -> None:
        """Sends what waits; after a death some of it may have to go on waiting."""
        recovery = self.recovery
        while self.tokens:
            if recovery is not None and recovery.busy:
                return  # first what was sent before
            count = len(self.tokens)
            if self._targets is None:
                if not self._choose():
                    return
                count = min(count, self.room)
            self._flush(count)

    def _flush(self, count: int) -> None:
        """Sends the oldest `count` of what waits to those chosen."""
        tokens, size = self.tokens, self._size + ATOM_BYTES * count
        targets, self._targets, self.room = self._targets, None, 0
        assert targets is not None
        rest: list[object] = []
        if count < len(tokens):
            tokens, rest = tokens[:count], tokens[count:]
            size = size * count // (count + len(rest))
        contents = tuple(tokens) if _are_plain(tokens) else self._encoder.encode(tokens)
        ledger = self.ledger
        if ledger is not None:
            first = ledger.next_number
            runs = [(first, first + count)]
        else:
            runs = runs_of(self.numbers)
        keys: Keys = ()
        if self.keys:
            keys = tuple((join, some[:count]) for join, some in self.keys.items())
        rest_keys = {join: some[count:] for join, some in self.keys.items()}
        about = (self.spec.stream, self._epoch, self._origin, runs, self._path, keys, contents)
        shipment = Shipment(*about, self._done)
        # First it goes, then it is booked: somebody may be waiting for it.
        self._send(shipment, targets, size)
        left, began_s = max(0, self._size - size), self._began_s
        self._emptied()
        if rest:
            self.tokens, self.keys, self._began_s = rest, rest_keys, began_s
            self._size = self._load = left
        self.items_out += count
        self.tombstones, self.tombstones_waiting = self.tombstones + self.tombstones_waiting, 0
        if ledger is not None:
            ledger.open(count, size, shipment)
        full = ledger is not None and ledger.full
        if targets and self.consumers.sole and not rest and not full:  # nobody else is considered
            self._targets = targets
            self.room = min(accounts.room_items(target) for accounts, target in targets)

    def _emptied(self) -> None:
        self.tokens, self.numbers, self._began_s = [], [], 0.0
        self._size, self._load = 0, 0.0
        self.keys = {join: [] for join in self.keys}

    def _send(self, shipment: Shipment, targets: Targets, size: int) -> None:
        consumers = self.consumers
        everybody = len(targets) == len(consumers.groups)
        self._dispatch(self.spec, [target for _, target in targets], shipment, everybody)
        consumers.booked(shipment, targets, size, keeps_slots=self.recovery is None)
