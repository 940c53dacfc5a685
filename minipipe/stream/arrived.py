"""Parcels that have come, and the one that is in work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minipipe.codec import Leases, Named
from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.paths import Path
from minipipe.stream.memory import release
from minipipe.transport import Buffer

Key = tuple[int, ...]  # origin, number, outputs: what an item had as identity at a fork
Done = frozenset[Path]  # of an item that is sent again: what of it is settled beyond forks
NOTHING_DONE: Done = frozenset()


@dataclass(slots=True)
class Arrived:
    """A parcel that waits, not yet decoded."""

    stream: int
    producer: int
    origin: int
    epoch: int
    runs: list[Interval]
    path: Path
    body: bytes | tuple[Any, ...]  # as the codec wrote it, or plain numbers as they are
    frames: Sequence[Buffer]
    count: int
    keys: Mapping[int, Sequence[Key]] | None = None  # by join, for each item
    done: Done = NOTHING_DONE
    select: Sequence[Interval] = ()  # which of the items in the body these are; nothing: all
    whole: Arrived | None = None  # what this is a piece of, handed over in its turn
    position: int = 0  # of the first item of a piece, in the whole
    # Of a whole: its decoded items, without those that were handed over; how many there are left.
    items: list[Any] | None = None
    left: int = 0
    classes: Mapping[bytes, Named] = field(default_factory=dict)  # that the body names by token
    unreadable: bool = False  # once decoded: there are items that cannot be made again
    leases: Leases | None = None  # the slots that the body refers to, held until it is worked off

    @property
    def size_bytes(self) -> int:
        """What it takes up here; slots as a whole, since they cannot be used again."""
        if self.whole is not None:
            return 0
        inside = len(self.body) + sum(map(len, self.frames))
        return inside + sum(lease.size_bytes for lease in (self.leases or {}).values())

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
            whole=self,
            position=position,
        )
        if self.keys is not None:
            piece.keys = {j: keys[position : position + count] for j, keys in self.keys.items()}
        return piece

    def release(self) -> None:
        """It is worked off, or dropped: arrays that somebody keeps hold their slots themselves."""
        if self.whole is not None:
            self.whole.left -= self.count
            if not self.whole.left:
                self.whole.release()
        if self.leases:
            release(self.leases.values())
            self.leases = None


@dataclass(slots=True)
class Turn:
    """The parcel in work.

    `begun` counts its items that the functor was called with.  It is brought up to date when
    somebody is to be told, not at each item.
    """

    parcel: Arrived
    items: list[Any]
    numbers: Sequence[int]
    begun: int = 0
    in_functor: bool = False
    told_finished: int = 0  # of these, confirmed (function Sinks)
    drops: list[int] = field(default_factory=list)
    stale: bool = False  # if stateless: of an epoch that is over; what is made is for nobody

    @property
    def finished(self) -> int:
        return self.begun - 1 if self.in_functor else self.begun

    def at(self, number: int) -> None:
        """The functor is at this item.  (The numbers of a parcel need not ascend.)"""
        self.begun = self.numbers.index(number) + 1
        self.in_functor = True

    def reached(self, begun: int) -> None:
        """So many items are finished, and the functor is at none."""
        self.begun = begun
        self.in_functor = False
