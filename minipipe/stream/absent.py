"""Parcels that came and whose arrays could not be had: a death explains it, or it is an error.

What a slot held is gone if its owner has ended, or if the parcel is of an epoch that is over for
its owner and not yet for us.  Either way a FENCE follows, and the items are sent again.  If none
does, nobody will ever send them again.
"""

from __future__ import annotations

from collections import deque

from minipipe.protocol.delivery.membership import Membership
from minipipe.protocol.frozen import frozen
from minipipe.shm import SlotBarredError, SlotLeftBehindError, lives

PATIENCE_S = 30.0  # a supervisor may be slow to hear of a death


@frozen
class _Absent:
    due_s: float
    region: int
    epoch: int
    producer: int
    pid: int


class Absences:
    """What one worker has missed since the last death."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._waiting: deque[_Absent] = deque()

    def missed(self, now_s: float, region: int, epoch: int, producer: int, pid: int) -> None:
        """A parcel of this producer, of process `pid`, counts as not received.

        Args:
            pid: 0: it is on another host.
        """
        self._waiting.append(_Absent(now_s + PATIENCE_S, region, epoch, producer, pid))

    def check(self, now_s: float) -> None:
        """Sees that nothing was missed of one that lives.

        Raises:
            SlotBarredError: something was, and nobody will send it again.
            SlotLeftBehindError: the same, of another host.
        """
        while self._waiting and now_s >= self._waiting[0].due_s:
            absent = self._waiting.popleft()
            is_over = absent.epoch < self._membership.epoch(absent.region)
            if is_over or absent.producer not in self._membership.peers:
                continue
            if not absent.pid:
                raise SlotLeftBehindError
            if lives(absent.pid):
                raise SlotBarredError(absent.pid, "it is not where it was said to be")
