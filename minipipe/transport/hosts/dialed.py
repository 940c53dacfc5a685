"""A link whose connections this host makes, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import zmq

from minipipe.protocol.flow.patience import Patience
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.transport.curve import CurveClient
from minipipe.transport.hosts.dialing import Dial
from minipipe.transport.hosts.link_end import TURN, LinkEnd

logger = logging.getLogger("minipipe")

# Who was given up there, while it was stopped, say, is let in no more: it need not try for as long
# as it waits for one who is silent.  (Twice, as nobody has to prove anything to say so.)
DENIED_TIMES = 2


class Dialed:
    """A link whose connections this host makes, and the attempt that is on."""

    def __init__(self, end: LinkEnd, endpoints: Sequence[Endpoint], curve: CurveClient) -> None:
        self.end = end
        self._endpoints, self._curve = endpoints, curve
        self._dial: Dial | None = None
        self._denied = 0  # so many attempts were, one after the other

    @property
    def is_over(self) -> bool:
        """Whether its link is, and its last connection is closed."""
        return self.end.is_over and self._dial is None

    @property
    def sockets(self) -> list[Any]:
        """To wait for input."""
        return [] if self._dial is None else self._dial.sockets

    def receive(self, now_s: float) -> bool:
        """Takes in some of what has come; whether there may be more."""
        dial = self._dial
        # The link closes a connection when it cannot send, which may have been in this round:
        # sockets that are closed were read, and that ended an agent.
        if dial is None or dial.is_closed:
            return False
        dial.look()
        if self.end.dialing == dial.attempt and dial.is_ready:
            self.end.opened(dial, now_s)
        for _ in range(TURN):
            if self.end.connection is not dial or (frames := dial.receive()) is None:
                break
            self.end.arrived(frames, now_s)
        else:
            return True
        if dial.has_ended and (self.end.connection is dial or self.end.dialing == dial.attempt):
            logger.info("no connection to %s: %s", self.end.name, dial.why())
            self.end.broke(now_s)
            self._denied = self._denied + 1 if dial.is_denied else 0
            if self._denied == DENIED_TIMES:
                self.end.give_up("it does not accept the key of this host any more")
        return False

    def dial(self, context: zmq.Context[Any], patience: Patience, now_s: float) -> None:
        """Gives up an attempt that the link has given up, and makes the one that it wants."""
        if self._dial is not None and self._dial.attempt not in (
            self.end.dialing,
            0 if self.end.connection is None else self.end.connection.attempt,
        ):
            self.close()
        if self._dial is None and self.end.dialing:
            try:
                self._dial = Dial(
                    *(context, self._endpoints, self._curve, self.end.dialing, patience)
                )
            except zmq.ZMQError as error:
                logger.warning("no connection to %s can be made: %s", self.end.name, error)
                self.end.broke(now_s)

    def close(self) -> None:
        """Gives up what is on."""
        if self._dial is not None:
            self._dial.close()
            self._dial = None
