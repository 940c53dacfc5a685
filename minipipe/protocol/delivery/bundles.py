"""Bundles: items that travel and are settled as one, so that one worker makes a batch of them.

A sender deals its items out in bundles of one size, in the order in which it puts them: item i is
in bundle i // size (of its pass: `numbering`), and only the last bundle may be shorter.  What has
a number for the ledger, credit, order and recovery is the bundle.  An item keeps the number that it
would have without bundles, so failures, seeds, dead letters and crash suspects are named as ever.
One that is dropped on the way makes its bundle smaller, and changes no number.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.numbering import bundle_of, first_in_bundle
from minipipe.protocol.frozen import frozen


@frozen
class Bundling:
    """How the items of one region are dealt out.

    Attributes:
        size: how many items a bundle has.
        drops_last: whether a shorter one at the end is left out.
        takers: the segments that take bundles; the others of the region take the batches.
    """

    size: int
    drops_last: bool
    takers: frozenset[int]

    def settled_as(self, segment: int, number: int) -> int:
        """By which number a sender's ledger has what a segment knows by this one."""
        return bundle_of(number, self.size) if segment in self.takers else number


def bundles_of(members: Sequence[Interval], size: int) -> list[Interval]:
    """The numbers of the bundles that these items are of, as runs, in the order of the items.

    >>> bundles_of([(0, 3), (4, 12)], 4), bundles_of([(8, 12), (0, 4)], 4)
    ([(0, 3)], [(2, 3), (0, 1)])
    """
    runs: list[Interval] = []
    for first, stop in members:
        low, high = bundle_of(first, size), bundle_of(stop - 1, size) + 1
        if runs and low == runs[-1][1] - 1:  # its bundle has begun before
            low += 1
        if runs and low == runs[-1][1]:
            runs[-1] = (runs[-1][0], high)
        elif low < high:
            runs.append((low, high))
    return runs


def split(members: Sequence[Interval], size: int) -> list[Sequence[int]]:
    """The numbers of the items of each bundle.

    >>> split([(0, 3), (4, 6)], 4), split([(1, 3), (6, 7)], 8)
    ([range(0, 3), range(4, 6)], [[1, 2, 6]])
    """
    found: list[Sequence[int]] = []
    last = -1
    for first, stop in members:
        while first < stop:
            bundle = bundle_of(first, size)
            end = min(stop, first_in_bundle(bundle + 1, size))
            if bundle == last:
                found[-1] = [*found[-1], *range(first, end)]
            else:
                found.append(range(first, end))
            first, last = end, bundle
    return found


def cut(numbers: Sequence[int], size: int, bundles: int) -> int:
    """How many of these items make up the first so many bundles.

    >>> cut([0, 1, 2, 4, 5], 4, 1), cut([0, 1, 2, 4, 5], 4, 2), cut([7], 4, 9)
    (3, 5, 1)
    """
    if bundles < 1 or not numbers:
        return 0
    for place, (number, following) in enumerate(pairwise(numbers), 1):
        bundles -= bundle_of(number, size) != bundle_of(following, size)
        if not bundles:
            return place
    return len(numbers)


def of_bundles(first: int, stop: int, size: int, members: Interval) -> Interval:
    """The items of the bundles [first, stop), of a sender that has sent these items in a row.

    >>> of_bundles(1, 3, 4, (0, 10))
    (4, 10)
    """
    low, high = first_in_bundle(first, size), first_in_bundle(stop, size)
    return max(low, members[0]), min(high, members[1])
