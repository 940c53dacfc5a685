"""How many workers there are around one worker: what follows from that for each of its ends.

Workers of a segment may join and leave while a run runs.  So the supervisor tells each worker how
many the segments around it have (INIT, and COUNT when that changes), and nothing that depends on it
is part of the wiring.  One that has died is counted on, as another one will take its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from minipipe.protocol.wiring import InletSpec, OutletSpec


@dataclass
class Headcount:
    """How many workers each segment is to have, as far as this worker has to do with it."""

    workers: dict[int, int] = field(default_factory=dict)  # by segment

    def told(self, counts: Iterable[tuple[int, int]]) -> None:
        """Takes in how many workers these segments have from now on."""
        self.workers.update(counts)

    def of(self, segments: Iterable[int]) -> int:
        """How many workers these segments have together; 0 if nothing was told of them yet."""
        return sum(self.workers.get(segment, 0) for segment in segments)

    def at_inlet(self, spec: InletSpec) -> InletCounts:
        """What an inlet has to know."""
        return InletCounts(
            producers=max(1, self.of(spec.producers)),
            senders=self.of(spec.closers),
            outer_senders=self.of(spec.closers - spec.loop),
            is_alone=self.of(spec.rivals) == 1,
            is_gapless=spec.unforked and self.of(spec.region_receivers) == 1,
            is_sole_receiver=self.of(spec.region_receivers) == 1,
        )

    def ledger_items(self, spec: OutletSpec) -> int:
        """So many items a sender may have open, however large they are: each worker has some."""
        return 2 * self.of(spec.holders) + 2


@dataclass(frozen=True)
class InletCounts:
    """The workers around an inlet.

    Attributes:
        producers: Those that put to the stream.
        senders: Those that must close the region before its end; 0 before INIT.
        outer_senders: Of these, those that are not in this worker's loop.
        is_alone: This is the only one that takes from the stream (of a broadcast: in its segment).
        is_sole_receiver: Nobody else receives in the region.
        is_gapless: All numbers of the region come here, unless they were dropped on the way.
    """

    producers: int = 1
    senders: int = 0
    outer_senders: int = 0
    is_alone: bool = False
    is_gapless: bool = False
    is_sole_receiver: bool = False

    def all_closed(self, closed: int) -> bool:
        """Whether these are all senders."""
        return 0 < self.senders <= closed
