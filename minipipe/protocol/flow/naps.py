"""When it is better to wait a little longer for messages: for several of them, not for each.

To wake up costs a worker more than ten messages that it finds when it is awake.  Where results of
slow functors come from many workers, each by itself, that is most of what their consumer needs.  So
it naps: it looks again after a while, and then there are several.  Like a network card, which does
not interrupt for each packet.

An item that comes alone is not kept waiting, nor is a producer: messages must have come so often
that several are to be expected, and from each producer at most one.  If fewer come, as those who
send wait for what is done with the last one, no nap follows for a while.
"""

from __future__ import annotations

from typing import Final

NAP_S: Final = 0.002  # as long as items may wait for others to share their parcel
NAP_NS: Final = 2_000_000
WORTH: Final = 3  # messages that a nap should bring
RICHEST: Final = 24  # that were more than what naps should bring are remembered
FEWEST_PAUSES: Final = 4
MOST_PAUSES: Final = 1024
SHARE: Final = 8  # how much each wait counts in the mean: one in so many


class Naps:
    """Of one worker that only takes: nobody waits for what it makes."""

    def __init__(self) -> None:
        self._messages = 0  # that had come when this was asked last,
        self._asked_ns = 0  # which was then
        self._gap_ns = NAP_NS  # from one message to the next, in the mean
        self._napped = False  # since then
        self._balance = 0  # of what naps have brought, beside what they should
        self._left = 0  # waits before the next nap
        self._pauses = FEWEST_PAUSES

    def due(self, now_ns: int, messages: int, producers: int) -> bool:
        """Whether to nap now that nothing is here, instead of waiting for the next message.

        To be asked before each wait.

        Args:
            messages: how many have come in all.
            producers: how many workers send.
        """
        came, took_ns = messages - self._messages, now_ns - self._asked_ns
        self._messages, self._asked_ns = messages, now_ns
        if self._napped:
            self._napped = False
            self._balance = min(RICHEST, self._balance + came - WORTH)
            if self._balance < 0:
                self._balance = 0
                self._left, self._pauses = self._pauses, min(MOST_PAUSES, 2 * self._pauses)
            elif self._balance == RICHEST:
                self._pauses = FEWEST_PAUSES
        if not came:
            return False
        self._gap_ns += (min(took_ns // came, NAP_NS) - self._gap_ns) // SHARE
        if self._left:
            self._left -= 1
            return False
        gap_ns = self._gap_ns
        self._napped = gap_ns * WORTH <= NAP_NS <= gap_ns * producers
        return self._napped
