"""A parcel on its way out, as its sender keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from minipipe.codec import Parcel
from minipipe.protocol.delivery.bundles import of_bundles
from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.paths import Path
from minipipe.stream.arrived import NOTHING_DONE, Done, Key

Keys = Sequence[tuple[int, Sequence[Key]]]


class Shipment:
    """A parcel, and what is written on it."""

    __slots__ = (
        "bundle_size",
        "contents",
        "done",
        "epoch",
        "keys",
        "members",
        "origin",
        "path",
        "runs",
        "select",
        "stream",
    )

    def __init__(
        self,
        stream: int,
        epoch: int,
        origin: int,
        runs: list[Interval],
        path: Path,
        keys: Keys,
        contents: Parcel | tuple[Any, ...],
        done: Done = NOTHING_DONE,
        select: tuple[Interval, ...] = (),
        members: Sequence[Interval] = (),
        bundle_size: int = 0,
    ) -> None:
        self.stream = stream
        self.epoch = epoch
        self.origin = origin
        self.runs = runs
        self.path = path
        self.keys = keys
        self.contents = contents  # or, without the codec, plain numbers
        self.done = done
        self.select = select  # the positions that are meant, if not all
        self.members = members  # of bundles: the items in them
        self.bundle_size = bundle_size  # of bundles

    def release(self) -> None:
        """Nobody needs the shared memory any more that it refers to."""
        if isinstance(self.contents, Parcel):
            self.contents.release()

    def part(self, epoch: int, first: int, count: int, done: Done) -> Shipment:
        """The items from position `first` on, to be sent again."""
        number = self.runs[0][0] + first
        whole = first == 0 and count == self.runs[0][1] - number
        select, members = (first, first + count), self.members
        if members:
            begin = members[0][0]
            low, high = of_bundles(number, number + count, self.bundle_size, members[0])
            select, members = (low - begin, high - begin), ((low, high),)
        return Shipment(
            stream=self.stream,
            epoch=epoch,
            origin=self.origin,
            runs=[(number, number + count)],
            path=self.path,
            keys=tuple((join, keys[first : first + count]) for join, keys in self.keys),
            contents=self.contents,
            done=done,
            select=() if whole else (select,),
            members=members,
            bundle_size=self.bundle_size,
        )


def release_settled(ledger: Ledger) -> None:
    """What was settled is kept no longer, nor is the shared memory that it refers to."""
    for shipment in ledger.release_settled():
        cast("Shipment", shipment).release()
