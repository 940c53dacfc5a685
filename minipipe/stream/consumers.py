"""Those that take from an outlet: what credit each of them has, and who gets what comes next."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from typing import cast

from minipipe.codec import Parcel
from minipipe.protocol.delivery.paths import Path, complete
from minipipe.protocol.flow.credit import UNLIMITED, Accounts, Grant
from minipipe.protocol.flow.late_binding import LateBinding
from minipipe.protocol.wiring import OutletSpec
from minipipe.shm import SlotHandle
from minipipe.stream.arrived import Done
from minipipe.stream.memory import release, retain
from minipipe.stream.shipment import Shipment

Targets = list[tuple[Accounts, int]]  # each group that gets something, and who of that group


def busy_until(targets: Targets) -> float:
    """When the first of them will have finished what it has, as far as one can tell."""
    return min((accounts.free_at_s(target) for accounts, target in targets), default=0.0)


class Consumers:
    """The consumers of one outlet.

    Attributes:
        groups: each item goes to one consumer of each group; of a broadcast, one group for each
            subscribing segment.
        late: the producer's part, where consumers may give tickets.
    """

    def __init__(self, spec: OutletSpec, ident: int) -> None:
        self.groups = [Accounts() for _ in spec.groups]
        self.late = None if spec.broadcast else LateBinding(ident, self.groups[0])
        self._spec = spec
        self._mask = tuple(range(len(spec.groups)))

    def chosen(self, path: Path, done: Done) -> tuple[Targets, int] | None:
        """Of each group that has not got it yet, who gets it, and how many of them at most."""
        now_s = time.monotonic()
        if len(self.groups) == 1 and not done:
            (accounts,) = self.groups
            target = accounts.choose(now_s)
            return None if target is None else ([(accounts, target)], accounts.room_items(target))
        targets: Targets = []
        room = UNLIMITED
        for slot, accounts in enumerate(self.groups):
            if done and self._spec.broadcast and complete((*path, (slot, self._mask)), done):
                continue
            target = accounts.choose(now_s)
            if target is None:
                return None
            targets.append((accounts, target))
            room = min(room, accounts.room_items(target))
        return targets, room

    @property
    def must_listen(self) -> bool:
        """Whether a consumer may ask for its tickets back, which others wait for, at any time."""
        return self.late is not None and self.late.in_use

    @property
    def sole(self) -> bool:
        """Whether there is nobody to choose from."""
        groups = self.groups
        return groups[0].sole if len(groups) == 1 else all(group.sole for group in groups)

    def room_if_sole(self, targets: Targets) -> int:
        """How many items all of these may be sent, if there is nobody to choose from; else -1."""
        room = UNLIMITED
        for accounts in self.groups:
            if not accounts.sole:
                return -1
        for accounts, target in targets:
            room = min(room, accounts.room_items(target))
        return room

    @property
    def occupancy(self) -> tuple[int, int]:
        """How many items wait at the consumers, not taken up yet, and how many may."""
        counts = [accounts.occupancy for accounts in self.groups]
        return sum(waiting for waiting, _ in counts), sum(allowed for _, allowed in counts)

    def held_up_by(self, *, full: bool) -> list[int]:
        """The consumers that have no room; all of them, if it is the ledger that is full."""
        return [
            consumer
            for accounts in self.groups
            for consumer in accounts.staying
            if full or not accounts.room_items(consumer)
        ]

    def group_of(self, segment: int) -> Accounts:
        """The group that the workers of this consuming segment are in."""
        for members, accounts in zip(self._spec.groups, self.groups, strict=True):
            if segment in members:
                return accounts
        raise KeyError(segment)

    def granted(self, consumer: int, grant: Grant, now_s: float) -> None:
        """Takes in what a consumer grants."""
        for accounts in self.groups:
            for kept in accounts.granted(consumer, grant, now_s):
                release(cast("Sequence[SlotHandle]", kept))  # it has them mapped
        if self.late is not None:
            self.late.heard(now_s)

    @property
    def idents(self) -> set[int]:
        """All of them, those that are to leave included."""
        return {consumer for accounts in self.groups for consumer in accounts.consumers}

    def retire(self, consumer: int) -> None:
        """Sends nothing more to one that is to leave; it still says what it has taken up."""
        for accounts in self.groups:
            if consumer in accounts.consumers:
                accounts.retire(consumer)

    def sent_to(self) -> dict[int, int]:
        """How many items each consumer was sent."""
        return {c: n for accounts in self.groups for c, n in accounts.sent().items()}

    def forget(self, dead: Container[int]) -> None:
        """Sends nothing more to these."""
        for accounts in self.groups:
            for ident in [ident for ident in accounts.consumers if ident in dead]:
                for kept in accounts.remove(ident):
                    release(cast("Sequence[SlotHandle]", kept))

    def booked(self, shipment: Shipment, targets: Targets, size: int, *, keeps_slots: bool) -> None:
        """A parcel was sent to these.

        Args:
            keeps_slots: until a consumer has taken it up, and so has the slots mapped.  A
                stateless worker does; a sender keeps slots until all of the parcel is settled.
        """
        now_s = time.monotonic()
        runs = shipment.runs
        if len(runs) == 1:
            count = runs[0][1] - runs[0][0]
        else:
            count = sum(stop - first for first, stop in runs)
        held: Sequence[SlotHandle] = ()
        if keeps_slots and isinstance(shipment.contents, Parcel):
            held = shipment.contents.held
            if not targets:
                release(held)
        for i, (accounts, target) in enumerate(targets):
            if held and i:
                retain(held)
            accounts.booked(target, count, size, now_s, held or None)
