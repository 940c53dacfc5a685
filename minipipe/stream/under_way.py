"""Calls of a functor in several threads of one worker: a table of them, behind its status page.

As the page, it can be read of a worker that hangs or is dead: that is how the items are known that
were under way then.  Each thread has a place of its own in it, and writes nowhere else.
"""

from __future__ import annotations

from typing import NamedTuple

from minipipe.protocol.delivery.paths import Leaf, Outputs

MAX_THREADS = 64
PLACE_WORDS = 8
# Of one call: these, then how many outputs its item went by, and the first of them.
_NUMBER, _ORIGIN, _CALL, _BEGAN_NS, _THREAD, _OUTPUTS = range(6)
_MOST_OUTPUTS = PLACE_WORDS - _OUTPUTS - 1  # forks beyond are not told apart here
TABLE_WORDS = MAX_THREADS * PLACE_WORDS


class UnderWay(NamedTuple):
    """A call that is under way.

    Attributes:
        item: that the functor was called with.
        call: the how-manieth of this worker.
        began_ns: by the monotonic clock.
        thread: that it is in, as its stack names it.
    """

    item: Leaf
    call: int
    began_ns: int
    thread: int


class CallTable:
    """The table.

    Args:
        words: of the status page.
        first: where in them it begins.
    """

    def __init__(self, words: memoryview, first: int) -> None:
        self._words = words
        self._first = first

    def enter(self, place: int, item: Leaf, *, call: int, began_ns: int, thread: int) -> None:
        """A thread goes to the functor."""
        words, at = self._words, self._first + place * PLACE_WORDS
        origin, number, path = item
        words[at + _ORIGIN] = origin
        words[at + _CALL] = call
        words[at + _BEGAN_NS] = began_ns
        words[at + _THREAD] = thread
        some = path[:_MOST_OUTPUTS]
        words[at + _OUTPUTS] = len(some)
        for i, output in enumerate(some, at + _OUTPUTS + 1):
            words[i] = output
        words[at + _NUMBER] = number + 1  # at last: from now on it is there

    def leave(self, place: int) -> None:
        """It has come back."""
        self._words[self._first + place * PLACE_WORDS + _NUMBER] = 0

    def shift(self, later_ns: int) -> None:
        """All that is under way has begun so much later, by another clock."""
        words = self._words
        for place in range(MAX_THREADS):
            at = self._first + place * PLACE_WORDS
            if words[at + _NUMBER]:
                words[at + _BEGAN_NS] = max(0, words[at + _BEGAN_NS] + later_ns)

    def calls(self, places: int) -> list[UnderWay]:
        """The calls in so many places, the oldest first.

        Of a worker that goes on meanwhile one may be missing.
        """
        found = []
        for place in range(min(places, MAX_THREADS)):
            at = self._first + place * PLACE_WORDS
            # In one go: a slice of a memoryview of words is copied faster than it is filled, and
            # what was caught in the middle is another call at the next look.
            entry = self._words[at : at + PLACE_WORDS].tolist()
            if entry[_NUMBER]:
                count = min(entry[_OUTPUTS], _MOST_OUTPUTS)
                path: Outputs = tuple(entry[_OUTPUTS + 1 : _OUTPUTS + 1 + count])
                item = (entry[_ORIGIN], entry[_NUMBER] - 1, path)
                found.append(UnderWay(item, entry[_CALL], entry[_BEGAN_NS], entry[_THREAD]))
        return sorted(found, key=lambda call: call.began_ns)
