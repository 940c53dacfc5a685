"""What a worker's time goes to: its functor, waiting for input, waiting for room, MiniPipe itself.

A clock that is switched, so that the four add up to the time since `begin`, whatever is forgotten.
It lives in the status page: others can read it of a worker that is in its functor for an hour.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from minipipe.protocol.run.durations import bucket_of
from minipipe.protocol.run.vital_signs import Activity
from minipipe.stream.page import DURATIONS_WORD, ITEM_WORD, WORD, Page

if TYPE_CHECKING:
    from minipipe.observe.span_buffer import SpanBuffer

# (Names of this module's own: of modules that are not compiled they would be looked up each time.)
_ORIGIN: Final = WORD["origin"]
_ACTIVITY: Final = WORD["activity"]
_SINCE: Final = WORD["since_ns"]
_OWN: Final = WORD["own_ns"]
_BUSY: Final = WORD["busy_ns"]
_DURATIONS: Final = DURATIONS_WORD
NONE: Final = int(Activity.NONE)
OWN: Final = int(Activity.OWN)
BUSY: Final = int(Activity.BUSY)
STARVED: Final = int(Activity.STARVED)
BLOCKED: Final = int(Activity.BLOCKED)
_clock_ns: Final = time.monotonic_ns
# Where the time of each activity is added up, by its number.
_TOTAL: Final = [0, *(WORD[f"{activity.name.lower()}_ns"] for activity in list(Activity)[1:])]


class TimeUse:
    """The clock of one worker; only its main thread may switch it.

    Attributes:
        is_at_work: other threads are in the functor, whatever the main one waits for.
        spans: where it is written down when what was, if anybody wants to know.
    """

    __slots__ = ("_activity", "_since_ns", "_words", "is_at_work", "spans")

    def __init__(self, page: Page) -> None:
        self._words = page.words
        # The same as on the page, as to read there costs more: one object is the clock of a page.
        self._activity, self._since_ns = NONE, 0
        self.is_at_work = False
        self.spans: SpanBuffer | None = None

    def begin(self) -> None:
        """From now on all time counts; before, what a worker does is its start."""
        self._show(OWN, _clock_ns())

    def _show(self, activity: int, since_ns: int) -> None:
        words = self._words
        self._since_ns = words[_SINCE] = since_ns
        self._activity = words[_ACTIVITY] = activity

    def leave_to_parent(self) -> None:
        """In a child that the functor has forked: the page is its parent's, who counts on."""
        self._activity = NONE

    def end(self) -> None:
        """From now on nothing counts: its work is done."""
        self.enter(OWN)
        self._show(NONE, self._since_ns)

    def enter(self, activity: int) -> None:
        """What comes now is this; what was until now is added to what it was."""
        before, since_ns = self._activity, self._since_ns
        if not before:
            return
        words, now_ns = self._words, _clock_ns()
        words[_TOTAL[before]] += now_ns - since_ns
        self._since_ns = words[_SINCE] = now_ns  # with it: a stop may be raised in between
        if self.spans is not None and before != OWN:
            item = words[ITEM_WORD] if before == BUSY else 0
            self.spans.add(before, since_ns, now_ns, item, words[_ORIGIN])
        if activity > BUSY and self.is_at_work:
            activity = BUSY
        self._activity = words[_ACTIVITY] = activity

    def end_call(self) -> None:
        """The functor has returned: as `enter`, and it is noted how long that took."""
        if self._activity != BUSY:
            self.enter(OWN)
            return
        # (What `enter` would do, in line: this is paid for each call that is timed.)
        words, since_ns, now_ns = self._words, self._since_ns, _clock_ns()
        self._since_ns = words[_SINCE] = now_ns
        self._activity = words[_ACTIVITY] = OWN
        words[_BUSY] += now_ns - since_ns
        words[_DURATIONS + bucket_of(now_ns - since_ns)] += 1
        if self.spans is not None:
            self.spans.add(BUSY, since_ns, now_ns, words[ITEM_WORD], words[_ORIGIN])

    def took(self, duration_ns: int) -> None:
        """So long took a call of the functor."""
        self._words[_DURATIONS + bucket_of(duration_ns)] += 1

    @property
    def busy_ns(self) -> int:
        """How long it was in its functor, as far as that is known now."""
        return self._words[_BUSY]

    def own_ns(self) -> int:
        """How long MiniPipe itself took, up to now."""
        self.enter(OWN)
        return self._words[_OWN]

    @property
    def since_ns(self) -> int:
        """When it was switched last."""
        return self._since_ns

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
                began_ns = self._since_ns - words[_OWN] - busy_ns
            self.spans.add_late(began_ns, self._since_ns, busy_ns - shown_ns)
