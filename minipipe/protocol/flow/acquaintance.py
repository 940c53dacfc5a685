"""When two hosts that have something for each other make a link, and which of them goes to which.

The gateway of the run asks this (`agent/introducing.py`); what goes which way meanwhile is decided
in `protocol/flow/bypass.py`.  There is one link at a time: another one is made when both ends have
said that they have fallen back.
"""

from __future__ import annotations

import math

# After a link that has stood, so long; after one that did not come to be in either direction, twice
# as long each time.
AGAIN_S = 20.0
LONGEST_S = 640.0


class Acquaintance:
    """Two hosts, by their numbers.

    Attributes:
        link: the number of their link, or of the last one; 0: there was none.
        lets_in: the one that the other goes to.
        goes: that other one.
    """

    def __init__(self, elder: int, younger: int) -> None:
        self.link = 0
        self.lets_in, self.goes = elder, younger
        self._fallen_back = {elder, younger}
        self._has_stood = self._is_awaited = False
        self._failed = 0  # so many links did not come to be, one after the other
        self._again_s = -math.inf

    def is_due(self, now_s: float) -> bool:
        """Whether they are to make a link now, as they have something for each other."""
        return len(self._fallen_back) == 2 and now_s >= self._again_s

    def begin(self, link: int) -> None:
        """They make this one: `lets_in` is told first."""
        self.link = link
        self._fallen_back.clear()
        self._has_stood, self._is_awaited = False, True

    def awaits(self, host: int) -> bool:
        """This one lets the other one in: whether that is to be told to go there."""
        is_due = self._is_awaited and host == self.lets_in
        self._is_awaited &= not is_due
        return is_due

    def switched(self) -> None:
        """Something goes by the link."""
        self._has_stood = True

    def fell_back(self, host: int, now_s: float) -> None:
        """This one has lost the link."""
        if host in self._fallen_back:
            return
        self._fallen_back.add(host)
        if len(self._fallen_back) < 2:
            return
        if self._has_stood:
            self._failed, self._again_s = 0, now_s + AGAIN_S
            return
        # Perhaps it can be reached only from the other side: that is tried at once.
        self.lets_in, self.goes = self.goes, self.lets_in
        self._failed += 1
        rounds, is_odd = divmod(self._failed, 2)
        wait_s = 0.0 if is_odd else min(AGAIN_S * 2**rounds, LONGEST_S)
        self._again_s = now_s + wait_s
