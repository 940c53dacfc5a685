"""What a loop has got of a pass: how many items, and which of each sender.

That is what a state holds (`pline.state_dict()`), so that another run can go on behind it.  Senders
number their items in the order in which they put them.  If items come in that order, all below the
last one are delivered, or were dropped on the way, and one number says it all.  If not, the numbers
that came are kept as intervals; what was dropped leaves a gap in them, as nobody tells the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from minipipe.protocol.delivery.intervals import Interval, IntervalSet

MAX_GAPS = 100_000  # of one sender: what is kept of a stream without end stays small

Identity = tuple[int, int]  # the sender, the number


class Delivered:
    """The numbers of one pass that were delivered, by sender.

    Args:
        in_order: those of each sender come in order.
    """

    def __init__(self, *, in_order: bool) -> None:
        self.in_order = in_order
        self.is_given_up = False  # there are too many gaps
        self._stops: dict[int, int] = {}
        self._sets: dict[int, IntervalSet] = {}

    def add(self, sender: int, runs: Iterable[Interval]) -> None:
        """These numbers of this sender were delivered."""
        if self.in_order:
            for _, stop in runs:
                self._stops[sender] = max(stop, self._stops.get(sender, 0))
        elif not self.is_given_up:
            numbers = self._sets.setdefault(sender, IntervalSet())
            for first, stop in runs:
                numbers.add(first, stop)
            if numbers.pieces > MAX_GAPS:
                self.is_given_up = True
                self._sets.clear()

    def copy(self) -> Delivered:
        """The same, apart from this."""
        other = Delivered(in_order=self.in_order)
        other.is_given_up = self.is_given_up
        other._stops = dict(self._stops)
        other._sets = {sender: IntervalSet(numbers) for sender, numbers in self._sets.items()}
        return other

    def numbers(self, without: Sequence[Identity] = ()) -> Mapping[int, list[Interval]]:
        """The numbers, in ascending intervals that do not touch; of the first pass.

        In order, those that were dropped are among them.

        Args:
            without: the last ones that came, as they are not in anybody's hands yet.
        """
        if self.in_order:
            stops = dict(self._stops)
            for sender, number in without:
                stops[sender] = min(number, stops[sender])
            return {sender: [(0, stop)] if stop else [] for sender, stop in stops.items()}
        found: dict[int, list[Interval]] = {}
        for sender, numbers in self._sets.items():
            left_out = IntervalSet((n, n + 1) for s, n in without if s == sender)
            found[sender] = [
                piece for first, stop in numbers for piece in left_out.missing(first, stop)
            ]
        return found


def begin_of(intervals: Sequence[Interval]) -> int:
    """The first number that is not in such intervals.

    >>> begin_of([(0, 4), (6, 7)]), begin_of([(1, 3)]), begin_of([])
    (4, 0, 0)
    """
    return intervals[0][1] if intervals and intervals[0][0] == 0 else 0
