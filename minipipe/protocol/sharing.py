"""Which worker of which rank reads which parts of the data, and in which order.

The parts of a data set (files, row groups, shards, blocks of rows) are put in an order, which a
seed fixes; then they are dealt out to ranks in turn, and what a rank has to its workers in turn.
So each part is read once a pass, and what a rank reads does not follow from how many workers it
has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from minipipe.protocol.frozen import frozen

Even = Literal["drop", "repeat"]


@frozen
class Dealing:
    """How the parts are dealt out.

    Attributes:
        shuffle: whether their order is drawn at random, anew for each pass and epoch.
        rank, world_size: of the process that trains, among how many; the parts of all of them are
            in one order, so all need the same seed.
        even: whether all ranks get equally many parts: those that are left over are dropped, or
            the first ones are given out once more; None: some ranks get one more than others.
    """

    shuffle: bool = False
    rank: int = 0
    world_size: int = 1
    even: Even | None = None

    def per_rank(self, parts: int) -> int:
        """How many of so many parts this rank reads in a pass."""
        if self.even is None:
            return len(range(self.rank, parts, self.world_size))
        extra = self.world_size - 1 if self.even == "repeat" else 0
        return (parts + extra) // self.world_size

    def of_worker(
        self, parts: int, worker: int, n_workers: int, key: Sequence[int]
    ) -> Sequence[int]:
        """The parts, by index, that a worker of this rank reads, in this order.

        Args:
            parts: how many there are in all.
            key: what the order follows from, if it is drawn: seed, pass, epoch.
        """
        order = permutation(parts, key) if self.shuffle else range(parts)
        mine = self.per_rank(parts)
        # (`parts` is 0 only if `mine` is.)
        return [
            int(order[(self.rank + place * self.world_size) % parts])
            for place in range(worker, mine, n_workers)
        ]


def permutation(count: int, key: Sequence[int]) -> Sequence[int]:
    """The numbers below `count` in an order that follows from the key, on every machine.

    (By NumPy's `RandomState`, whose stream no later version changes: NEP 19.)
    """
    bits = np.random.MT19937(np.random.SeedSequence(list(key)))
    order: list[int] = np.random.RandomState(bits).permutation(count).tolist()
    return order
