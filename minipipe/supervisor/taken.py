"""What the caller's loop has taken of a pass, for a state to go on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from minipipe.protocol.delivery.delivered import Delivered, Identity
from minipipe.protocol.delivery.intervals import Interval, IntervalSet, runs_of
from minipipe.protocol.delivery.numbering import first_of, pass_of, place_of
from minipipe.protocol.run.beginning import Beginning
from minipipe.stream.arrived import Turn


class Taken:
    """The items of one pass that the loop has got; booked once a parcel, as items are many.

    Args:
        name_of: gives the name of a worker by its id.
        begins: where the run has begun.
        in_order: the items of each sender come in order.

    Attributes:
        resumes: some of what comes was delivered before this run.
        is_given_up: which items came cannot be told any more.
    """

    def __init__(self, name_of: Callable[[int], str], begins: Beginning, *, in_order: bool) -> None:
        self._name_of = name_of
        self._in_order = in_order
        self._begin(begins)

    def _begin(self, begins: Beginning) -> None:
        self._delivered = Delivered(in_order=self._in_order)
        self._before = begins.numbers
        # What Sources cannot go past, as something before it is still to come.
        self._known = {
            name: IntervalSet(intervals[1:] if begins.skip(name) else intervals)
            for name, intervals in begins.numbers.items()
        }
        self._repeats = begins.repeats
        self.resumes = self._repeats > 0 or any(self._known.values())
        self._count = begins.delivered
        self._left_out = 0  # of the parcel in work
        self._origin = 0
        self._numbers: Sequence[int] = ()  # of the parcel in work
        self._runs: Sequence[Interval] = ()

    def begin_pass(self) -> None:
        """What comes next is of another pass."""
        self._begin(Beginning())

    def begin(self, turn: Turn) -> None:
        """A parcel is in work, and the one before is worked off."""
        self._count += len(self._numbers) - self._left_out
        self._left_out = 0
        if self._runs:
            self._delivered.add(self._origin, _places(self._runs))
        self._origin, self._numbers, self._runs = turn.parcel.origin, turn.numbers, turn.parcel.runs

    def leaves_out(self, position: int) -> bool:
        """Whether the item there in the parcel in work was delivered before this run."""
        if self._repeats:
            self._repeats -= 1
            self.resumes = self._repeats > 0
        else:
            known = self._known.get(self._name_of(self._origin))
            if known is None or place_of(self._numbers[position]) not in known:
                return False
        self._left_out += 1
        return True

    def last(self, position: int) -> Identity:
        """Whose the item before this position in the parcel in work is, and its number."""
        return self._origin, place_of(self._numbers[position - 1])

    @property
    def is_given_up(self) -> bool:
        return self._delivered.is_given_up

    def count(self, position: int) -> int:
        """How many items were delivered when the parcel in work is so far."""
        return self._count + position - self._left_out

    def numbers(
        self, position: int, without: Sequence[Identity]
    ) -> Mapping[str, Sequence[Interval]]:
        """Which they are, by the name of the worker that has numbered them."""
        delivered = self._delivered.copy()
        if position:
            delivered.add(self._origin, _places(runs_of(self._numbers[:position])))
        found = {name: IntervalSet(intervals) for name, intervals in self._before.items()}
        for ident, runs in delivered.numbers(without).items():
            numbers = found.setdefault(self._name_of(ident), IntervalSet())
            for first, stop in runs:
                numbers.add(first, stop)
        return {name: list(numbers) for name, numbers in found.items()}


def _places(runs: Sequence[Interval]) -> list[Interval]:
    """The same numbers within their pass."""
    base = first_of(pass_of(runs[0][0]))
    return [(first - base, stop - base) for first, stop in runs]
