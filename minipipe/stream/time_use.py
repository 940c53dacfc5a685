"""What a worker's time goes to: its functor, waiting for input, waiting for room, MiniPipe itself.

A clock that is switched, so that the four add up to the time since `begin`, whatever is forgotten.
It lives in the status page: others can read it of a worker that is in its functor for an hour.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from minipipe.protocol.run.durations import bucket_of
from minipipe.protocol.run.vital_signs import Activity
from minipipe.stream.page import DURATIONS_WORD, ITEM_WORD, WORD, Page

if TYPE_CHECKING:
    from minipipe.observe.span_buffer import SpanBuffer

_ORIGIN = WORD["origin"]
_ACTIVITY, _SINCE = WORD["activity"], WORD["since_ns"]
_OWN, _BUSY = WORD["own_ns"], WORD["busy_ns"]
_IS_OWN, _IS_BUSY = int(Activity.OWN), int(Activity.BUSY)
# Where the time of each activity is added up, by its number.
_TOTAL = [0, *(WORD[f"{activity.name.lower()}_ns"] for activity in list(Activity)[1:])]


class TimeUse:
    """The clock of one worker; only its main thread may switch it.

    Attributes:
        is_at_work: other threads are in the functor, whatever the main one waits for.
        spans: where it is written down when what was, if anybody wants to know.
    """

    __slots__ = ("_words", "is_at_work", "spans")

    def __init__(self, page: Page) -> None:
        self._words = page.words
        self.is_at_work = False
        self.spans: SpanBuffer | None = None

    def begin(self) -> None:
        """From now on all time counts; before, what a worker does is its start."""
        words = self._words
        words[_SINCE] = time.monotonic_ns()
        words[_ACTIVITY] = Activity.OWN

    def end(self) -> None:
        """From now on nothing counts: its work is done."""
        self.enter(Activity.OWN)
        self._words[_ACTIVITY] = Activity.NONE

    def enter(self, activity: int) -> None:
        """What comes now is this; what was until now is added to what it was."""
        words = self._words
        before = words[_ACTIVITY]
        if not before:
            return
        now_ns = time.monotonic_ns()
        since_ns = words[_SINCE]
        words[_TOTAL[before]] += now_ns - since_ns
        words[_SINCE] = now_ns
        if self.spans is not None and before != Activity.OWN:
            item = words[ITEM_WORD] if before == Activity.BUSY else 0
            self.spans.add(before, since_ns, now_ns, item, words[_ORIGIN])
        waits = activity > Activity.BUSY
        words[_ACTIVITY] = Activity.BUSY if waits and self.is_at_work else activity

    def end_call(self) -> None:
        """The functor has returned: as `enter`, and it is noted how long that took."""
        words = self._words
        if words[_ACTIVITY] != _IS_BUSY:
            self.enter(_IS_OWN)
            return
        # (What `enter` would do, in line: this is paid for each call that is timed.)
        since_ns, now_ns = words[_SINCE], time.monotonic_ns()
        words[_SINCE] = now_ns
        words[_ACTIVITY] = _IS_OWN
        words[_BUSY] += now_ns - since_ns
        words[DURATIONS_WORD + bucket_of(now_ns - since_ns)] += 1
        if self.spans is not None:
            self.spans.add(_IS_BUSY, since_ns, now_ns, words[ITEM_WORD], words[_ORIGIN])

    def took(self, duration_ns: int) -> None:
        """So long took a call of the functor."""
        self._words[DURATIONS_WORD + bucket_of(duration_ns)] += 1

    @property
    def busy_ns(self) -> int:
        """How long it was in its functor, as far as that is known now."""
        return self._words[_BUSY]

    def own_ns(self) -> int:
        """How long MiniPipe itself took, up to now."""
        self.enter(Activity.OWN)
        return self._words[_OWN]

    @property
    def since_ns(self) -> int:
        """When it was switched last."""
        return self._words[_SINCE]

    def was_busy(self, busy_ns: int, began_ns: int, shown_ns: int = 0) -> None:
        """So much of what was counted as MiniPipe's own since then was the functor's.

        Args:
            shown_ns: so much of that is among the spans already.
        """
        words = self._words
        busy_ns = min(busy_ns, words[_OWN])
        words[_OWN] -= busy_ns
        words[_BUSY] += busy_ns
        if self.spans is not None:
            if not began_ns:  # it has not been asked before: all of its own time is of now
                began_ns = words[_SINCE] - words[_OWN] - busy_ns
            self.spans.add_late(began_ns, words[_SINCE], busy_ns - shown_ns)
