"""How long the functor takes, for what it takes next to nothing to know.

A look at the clock before and after a call costs half a microsecond.  Where a call takes 50 and
more, each is timed.  Of quicker ones a stride in sixteen is timed (a stride: what a worker does
between two looks at its sockets, often hundreds of calls), or fewer, if the others are over in no
time; and what it tells of the functor's share holds for those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from minipipe.stream.time_use import BUSY, TimeUse

QUICK_NS: Final = 50_000
# Calls to judge by: a Regulator's are of two kinds, to send something in and to ask on.
LEAST: Final = 4
UNTIMED: Final = 15  # strides between two that are timed, or several times as many,
UNTIMED_NS: Final = 4_000_000  # if they do not take as long as this
# Untimed strides that took so much longer than those timed: it was a call, our work is even.
FAR_LONGER: Final = 3
SLOW_NS: Final = 5_000_000


class BusyMeter:
    """Times the calls of one worker's functor."""

    def __init__(self, time_use: TimeUse) -> None:
        self._time_use = time_use
        self._function: Callable[..., Any] = lambda: None
        self._left = 0  # strides that are not timed yet
        self._untimed = 0  # those that were not, since the last that were, and those left
        self._is_timed = False
        self._calls = self._strides = 0  # in this timed stretch
        self._own_ns = self._busy_ns = 0  # at the begin of this stride, or these,
        self._began_ns = 0  # which was then
        self._share = 0.0  # of a stride's time, the functor's
        self._stride_ns = 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """What to call in the next stride instead of `function`: that itself, or what times it."""
        if self._left:
            self._left -= 1
            return function
        if self._untimed and self._time_use.own_ns() - self._own_ns < UNTIMED_NS:
            self._left, self._untimed = UNTIMED, self._untimed + UNTIMED + 1
            return function
        self._look_back()
        if not self._is_timed:
            return function
        self._function = function
        self._strides += 1
        return self._timed

    def _look_back(self) -> None:
        """Books what was just done, and decides whether what comes is timed."""
        if self._is_timed and self._calls < LEAST:
            return
        use = self._time_use
        own_ns = use.own_ns() - self._own_ns
        if self._is_timed:
            busy_ns = use.busy_ns - self._busy_ns
            if busy_ns < QUICK_NS * self._calls:
                self._share = busy_ns / max(1, own_ns + busy_ns)
                self._stride_ns = (own_ns + busy_ns) // self._strides
                self._left, self._untimed, self._is_timed = UNTIMED - 1, UNTIMED, False
        else:
            expected_ns = min(own_ns, max(SLOW_NS, FAR_LONGER * self._untimed * self._stride_ns))
            busy_ns = int(self._share * expected_ns) + own_ns - expected_ns
            use.was_busy(busy_ns, self._began_ns)
            self._untimed, self._is_timed = 0, True
        self._calls = self._strides = 0
        self._own_ns, self._busy_ns = use.own_ns(), use.busy_ns
        self._began_ns = use.since_ns

    def _timed(self, *args: Any) -> Any:
        self._calls += 1
        time_use = self._time_use
        time_use.enter(BUSY)
        try:
            return self._function(*args)
        finally:
            time_use.end_call()
