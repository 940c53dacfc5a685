"""The producing end of a stream: items become parcels, parcels go to whom has credit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from minipipe.codec import ATOMS, Encoder, Parcel
from minipipe.pure.credit import UNLIMITED, Accounts, Grant
from minipipe.pure.intervals import Interval, runs_of
from minipipe.pure.ledger import Ledger
from minipipe.pure.paths import ROOT, Path
from minipipe.shared import Held
from minipipe.stream.inlet import Key
from minipipe.stream.memory import release, retain
from minipipe.stream.wiring import OutletSpec

PARCEL_S = 0.002  # no item waits longer than this for others to share its parcel
PARCEL_BYTES = 256 * 1024
# After a functor took this long an item is likely alone: it goes at once.  (That is the latency
# of a first item; those of a burst then share parcels.)
PAUSE_S = 0.000_2
ATOM_BYTES = 9  # what a number needs in msgpack, at most
# Immutable, and of a size that need not be looked at.
FAST = frozenset((int, float, bool))

Keys = Sequence[tuple[int, Sequence[Key]]]


@dataclass(slots=True)
class Shipment:
    """A parcel, and what is written on it."""

    epoch: int
    origin: int
    runs: list[Interval]
    path: Path
    keys: Keys
    contents: Parcel | tuple[Any, ...]  # or, without the codec, plain numbers

    def let_go(self) -> None:
        """Nobody needs the shared memory any more that it refers to."""
        if isinstance(self.contents, Parcel):
            self.contents.release()


Dispatch = Callable[[OutletSpec, Sequence[int], Shipment], None]


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
        ledger: Ledger | None,
    ) -> None:
        self.spec = spec
        # One group of consumers, each item going to one of them; of a broadcast, one for each
        # subscribing segment.
        self.groups = [Accounts() for _ in spec.groups]
        self.ledger = ledger  # None: it relays
        self.items_out = 0
        self.holes = 0  # of these, what stands for something dropped
        self.holes_waiting = 0  # in the parcel under way
        self.closed = False
        self._ident = ident
        self._encoder = encoder
        self._dispatch = dispatch
        self._origin, self._epoch, self._path = ident, 0, ROOT
        # What the parcel under way holds.  The worker's loop appends to them itself: `tokens`
        # gets what is in `FAST` as it is, all else goes through `add`.
        self.tokens: list[object] = []
        self.numbers: list[int] = []  # of the tokens, if this relays
        # Of the tokens, for each join that wants to know: what they had as identity at its fork.
        self.keys: dict[int, list[Key]] = {carried.join: [] for carried in spec.carried}
        self.room = 0  # how many more the consumers chosen for it have credit for
        self._size = 0
        self._targets: list[int] = []
        self._began_s = 0.0  # when the oldest token was made; 0: there is none

    @property
    def next_number(self) -> int:
        """The number that the next item will have, if this is a sender."""
        return self.ledger.next_number + len(self.tokens) if self.ledger else -1

    def relay(self, origin: int, epoch: int, path: Path) -> None:
        """What follows stems from items of this sender."""
        if (origin, epoch, path) != (self._origin, self._epoch, self._path):
            self.flush()
            self._origin, self._epoch, self._path = origin, epoch, path

    @property
    def ready(self) -> bool:
        """Whether an item could be added now: there is `room`."""
        if self.room > 0:
            return True
        if self.tokens:
            self.flush()
        if self.ledger is not None and self.ledger.full:
            return False
        now_s = time.monotonic()
        targets: list[int] = []
        room = UNLIMITED
        for accounts in self.groups:
            target = accounts.choose(now_s)
            if target is None:
                return False
            targets.append(target)
            room = min(room, accounts.room_items(target))
        self._targets = targets
        self.room = room
        return True

    def reconsider(self) -> None:
        """Time has passed since the consumer was chosen: another one may be the better by now."""
        if not self.tokens and not self.sole:
            self.room = 0

    @property
    def sole(self) -> bool:
        """Whether there is nobody to choose from."""
        groups = self.groups
        return groups[0].sole if len(groups) == 1 else all(group.sole for group in groups)

    def group_of(self, segment: int) -> Accounts:
        """The group that the workers of this consuming segment are in."""
        for members, accounts in zip(self.spec.groups, self.groups, strict=True):
            if segment in members:
                return accounts
        raise KeyError(segment)

    def granted(self, consumer: int, grant: Grant, now_s: float) -> None:
        """Takes in what a consumer grants."""
        for accounts in self.groups:
            for kept in accounts.granted(consumer, grant, now_s):
                release(cast("Sequence[Held]", kept))  # it has them mapped

    def sent_to(self) -> dict[int, int]:
        """How many items each consumer was sent."""
        return {c: n for accounts in self.groups for c, n in accounts.sent().items()}

    def add(self, item: Any) -> None:
        """Adds an item; there must be room.  (Numbers, and small numbers: see `tokens`.)

        Raises:
            ItemTypeError: the item cannot be sent.
        """
        kind = type(item)
        if kind not in ATOMS:
            self._encoder.exclusive = self.spec.exclusive
            item, size = self._encoder.snapshot(item)
            self._size += size
        elif kind is str or kind is bytes:
            self._size += len(item)
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
            or self._size >= PARCEL_BYTES
        ):
            self.flush()

    def flush_if_due(self, now_s: float) -> None:
        """Sends the parcel if its oldest item has waited long enough."""
        if self.tokens and self._began_s and now_s - self._began_s >= PARCEL_S:
            self.flush()

    def flush(self) -> None:
        """Sends what waits."""
        tokens = self.tokens
        if not tokens:
            return
        self.room = 0
        count, size = len(tokens), self._size + ATOM_BYTES * len(tokens)
        parcel = tuple(tokens) if _are_plain(tokens) else self._encoder.encode(tokens)
        ledger = self.ledger
        if ledger is not None:
            first = ledger.next_number
            runs = [(first, first + count)]
        else:
            runs = runs_of(self.numbers)
        # First it goes, then it is booked: somebody may be waiting for it.
        keys: Keys = ()
        if self.keys:
            keys = tuple(self.keys.items())
            self.keys = {join: [] for join in self.keys}
        shipment = Shipment(self._epoch, self._origin, runs, self._path, keys, parcel)
        self._dispatch(self.spec, self._targets, shipment)
        self.tokens, self.numbers, self._size, self._began_s = [], [], 0, 0.0
        self.items_out += count
        self.holes, self.holes_waiting = self.holes + self.holes_waiting, 0
        now_s = time.monotonic()
        # A sender keeps slots until all of the parcel is settled; a relay until its consumers
        # have taken it up, and so have the slots mapped.
        held = parcel.held if ledger is None and isinstance(parcel, Parcel) else ()
        for i, (accounts, target) in enumerate(zip(self.groups, self._targets, strict=True)):
            if held and i:
                retain(held)
            accounts.booked(target, count, size, now_s, held or None)
        if ledger is not None:
            ledger.open(count, size, shipment)
        if self.sole and not (ledger is not None and ledger.full):
            self.room = min(  # nobody else is to be considered
                accounts.room_items(target)
                for accounts, target in zip(self.groups, self._targets, strict=True)
            )
