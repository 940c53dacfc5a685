"""Which way messages of one host to another go: by the relay between them, or by their own link.

All begin by the relay, which both hosts reach.  Once the link of the two stands, the sender says so
by the relay, behind all that it has sent there (SWITCHED), and from then on sends by the link; the
receiver takes nothing from that before it has heard so.  If the link is lost, the sender says by
the relay which message is the first that it does not know to be received (FELL_BACK), sends all
from that one on by the relay with their numbers, and what follows by the relay for ever.  The
receiver knows how many it has taken from the link, so it takes none of them twice.

So each message arrives once, and in the order in which they were sent, whenever either end loses
the link; what waits for what is never more than the relay.  One direction is independent of the
other.  The driver is `agent/peers.py`.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from minipipe.errors import WireFormatError

Body = TypeVar("Body")


class Outgoing(Generic[Body]):
    """What a host sends to another one.

    Attributes:
        is_direct: what is sent now goes by the link (`add`); else by the relay.
    """

    def __init__(self) -> None:
        self.is_direct = False
        self._is_lost = False
        self._kept: deque[Body] = deque()  # given to the link, or waiting for it
        self._first = 1  # the number of the first of them
        self._given = 0  # so many of them are with the link

    @property
    def owes(self) -> bool:
        """Whether something that goes by the link is not known to be received."""
        return bool(self._kept)

    def link_is_up(self) -> bool:
        """The link stands: whether SWITCHED is to be sent by the relay, before anything else."""
        if self.is_direct or self._is_lost:
            return False
        self.is_direct = True
        return True

    def add(self, body: Body) -> None:
        """A message goes by the link as soon as that has room."""
        assert self.is_direct
        self._kept.append(body)

    @property
    def waits(self) -> bool:
        """Whether a message is to be given to the link."""
        return self._given < len(self._kept)

    def give(self) -> Body:
        """The next message for the link, which numbers them from 1."""
        body = self._kept[self._given]
        self._given += 1
        return body

    def released(self, number: int) -> None:
        """All messages up to this one were received."""
        while self._kept and self._first <= number:
            self._kept.popleft()
            self._first += 1
            self._given -= 1

    def link_is_lost(self) -> tuple[int, list[Body]] | None:
        """The link is lost, for good.

        Returns:
            What is to go by the relay now, before anything else: FELL_BACK with this number, and
            these messages with the numbers from that one on.  None: that was said before.
        """
        if self._is_lost:
            return None
        self.is_direct, self._is_lost = False, True
        left = list(self._kept)
        self._kept.clear()
        self._given = 0
        return self._first, left


class Incoming:
    """What a host is sent by another one.

    Attributes:
        taken: so many messages of the link.
    """

    def __init__(self) -> None:
        self.taken = 0
        self._is_switched = self._has_fallen_back = False

    @property
    def is_open(self) -> bool:
        """Whether messages of the link may be taken."""
        return self._is_switched and not self._has_fallen_back

    def take(self) -> None:
        """A message of the link is taken."""
        assert self.is_open
        self.taken += 1

    def switched(self) -> None:
        """SWITCHED came by the relay: all that was sent there before has come."""
        self._is_switched = True

    def fell_back(self, first: int) -> None:
        """FELL_BACK came by the relay: nothing more of the link may be taken.

        Raises:
            WireFormatError: what is between this number and what was taken would be lost.
        """
        self._has_fallen_back = True
        if not 1 <= first <= self.taken + 1:
            raise WireFormatError(f"messages from {first} on come again, after {self.taken}")

    def again(self, number: int) -> bool:
        """This message of the link has come by the relay: whether it is new here.

        Raises:
            WireFormatError: one before it is missing, or it may still come by the link.
        """
        if not self._has_fallen_back or number > self.taken + 1:
            raise WireFormatError(f"message {number} comes again, after {self.taken}")
        if number <= self.taken:
            return False
        self.taken = number
        return True
