"""Parcels that have come, and the one that is in work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from minipipe.codec import Access, Leases, Named
from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.paths import Path
from minipipe.stream.memory import release
from minipipe.transport import Buffer

Key = tuple[int, ...]  # origin, number, outputs: what an item had as identity at a fork
Done = frozenset[Path]  # of an item that is sent again: what of it is settled beyond forks
NOTHING_DONE: Final[Done] = frozenset()
NO_CLASSES: Final[Mapping[bytes, Named]] = MappingProxyType({})


class Arrived:
    """A parcel that waits, not yet decoded."""

    __slots__ = (
        "body",
        "classes",
        "count",
        "done",
        "epoch",
        "frames",
        "items",
        "keys",
        "leases",
        "left",
        "members",
        "origin",
        "path",
        "position",
        "producer",
        "runs",
        "select",
        "stream",
        "unreadable",
        "whole",
    )

    def __init__(
        self,
        stream: int,
        producer: int,
        origin: int,
        epoch: int,
        runs: list[Interval],
        path: Path,
        body: bytes | tuple[Any, ...],
        frames: Sequence[Buffer],
        count: int,
    ) -> None:
        self.stream = stream
        self.producer = producer
        self.origin = origin
        self.epoch = epoch
        self.runs = runs
        self.path = path
        self.body = body  # as the codec wrote it, or plain numbers as they are
        self.frames = frames
        self.count = count
        self.keys: Mapping[int, Sequence[Key]] | None = None  # by join, for each item
        self.done = NOTHING_DONE
        # Which of the items in the body these are; nothing: all.
        self.select: Sequence[Interval] = ()
        self.members: Sequence[Sequence[int]] = ()  # of bundles: the numbers of the items of each
        self.whole: Arrived | None = None  # what this is a piece of, handed over in its turn
        self.position = 0  # of the first item of a piece, in the whole
        # Of a whole: its decoded items, without those handed over; how many there are left.
        self.items: list[Any] | None = None
        self.left = 0
        self.classes: Mapping[bytes, Named] = NO_CLASSES  # that the body names by token
        self.unreadable = False  # once decoded: there are items that cannot be made again
        # The slots that the body refers to, held until it is worked off.
        self.leases: Leases | None = None

    @property
    def size_bytes(self) -> int:
        """What it takes up here; slots as a whole, since they cannot be used again."""
        if self.whole is not None:
            return 0
        size = len(self.body)
        if self.frames:
            size += sum(map(len, self.frames))
        if self.leases:
            for lease in self.leases.values():
                size += lease.size_bytes
        return size

    def piece(self, position: int, first: int, count: int) -> Arrived:
        """Some of its items, from this position on, the first of this number."""
        runs = [(first, first + count)]
        piece = Arrived(
            stream=self.stream,
            producer=self.producer,
            origin=self.origin,
            epoch=self.epoch,
            runs=runs,
            path=self.path,
            body=self.body,
            frames=(),
            count=count,
        )
        piece.whole, piece.position = self, position
        if self.keys is not None:
            piece.keys = {j: keys[position : position + count] for j, keys in self.keys.items()}
        piece.members = self.members[position : position + count]
        return piece

    def items_before(self, position: int) -> int:
        """How many items are before this position: each that is there, or in a bundle."""
        return sum(map(len, self.members[:position])) if self.members else position

    def release(self) -> None:
        """It is worked off, or dropped: arrays that somebody keeps hold their slots themselves."""
        if self.whole is not None:
            self.whole.left -= self.count
            if not self.whole.left:
                self.whole.release()
        if self.leases:
            release(self.leases.values())
            self.leases = None


class Bundle(NamedTuple):
    """Items that came together, as one, and the number of each."""

    numbers: Sequence[int]
    items: list[Any]


class Turn:
    """The parcel in work; of bundles, each of these counts for an item.

    `begun` counts its items that the functor was called with.  It is brought up to date when
    somebody is to be told, not at each item.
    """

    __slots__ = (
        "access",
        "begun",
        "drops",
        "in_functor",
        "items",
        "numbers",
        "parcel",
        "stale",
        "told_finished",
    )

    def __init__(
        self,
        parcel: Arrived,
        items: list[Any],
        numbers: Sequence[int],
        *,
        access: Access = "read",
    ) -> None:
        self.parcel = parcel
        self.items = items
        self.numbers = numbers
        self.begun = 0
        self.in_functor = False
        self.told_finished = 0  # of these, confirmed (function Sinks)
        self.drops: list[int] = []
        self.stale = False  # if stateless: of an epoch that is over; what is made is for nobody
        self.access = access  # what may be done with arrays of its items in shared memory

    @property
    def finished(self) -> int:
        return self.begun - 1 if self.in_functor else self.begun

    def at(self, number: int) -> None:
        """The functor is at this item.  (The numbers of a parcel need not ascend.)"""
        members = self.parcel.members
        if members:
            self.begun = next(i for i, bundle in enumerate(members, 1) if number in bundle)
        else:
            self.begun = self.numbers.index(number) + 1
        self.in_functor = True

    def reached(self, begun: int) -> None:
        """So many items are finished, and the functor is at none."""
        self.begun = begun
        self.in_functor = False
