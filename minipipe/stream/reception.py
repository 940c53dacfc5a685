"""What comes to a node: orders of the supervisor, and what other workers send."""

from __future__ import annotations

import logging
import select
from collections.abc import Sequence
from typing import Any, Final

from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.stream import wire
from minipipe.transport import Buffer, ControlInbox, Inbox, Receiver

logger: Final = logging.getLogger("minipipe")

# Looking for an order costs a system call, so it is not done before each message of many.
MESSAGES_A_LOOK: Final = 16


class Reception:
    """Gives a node its messages one by one: orders first, also where others send without end.

    Args:
        inbox: what other workers send to.
        control: what the supervisor sends to; None: to the inbox, too.
    """

    def __init__(self, inbox: Inbox, control: ControlInbox | None) -> None:
        self._inbox = inbox
        self._control = control
        self._until_look = 0
        self._order_filenos = () if control is None else (control.fileno(),)
        # Descriptors that end a wait, too, when they are readable.
        self.wakers: tuple[int, ...] = ()
        self._nap: tuple[tuple[int, ...], Any] | None = None  # what was watched last, and how

    def receive(self) -> wire.Message | None:
        """The next message, or None if there is none now.  Never blocks.

        An order may have come all the same: it ends the next wait, as it does for the service
        thread.
        """
        if self._control is not None:
            if not self._until_look:
                order = self.receive_order()
                if order is not None:
                    return order
                self._until_look = MESSAGES_A_LOOK
            self._until_look -= 1
        buffers = self._inbox.receive()
        return None if buffers is None else self._read(buffers, self._inbox)

    def receive_order(self) -> wire.Message | None:
        """The next order, or None if there is none now.  Never blocks."""
        control = self._control
        return None if control is None else self._read(control.receive(), control)

    def order_filenos(self) -> tuple[int, ...]:
        """What is readable while there are orders that were not received."""
        control = self._control
        return () if control is None or control.closed else self._order_filenos

    def receive_within(self, timeout_s: float, also: Sequence[int] = ()) -> wire.Message | None:
        """The next message, waiting for it as `Inbox.receive_within` does."""
        orders, also = self.order_filenos(), (*also, *self.wakers)
        if not orders:
            return self._read(self._inbox.receive_within(timeout_s, also), self._inbox)
        if orders[0] in self._inbox.wait(timeout_s, (*orders, *also)):
            order = self.receive_order()
            if order is not None:
                return order
        buffers = self._inbox.receive()
        return None if buffers is None else self._read(buffers, self._inbox)

    def wait(self, timeout_s: float | None, also: Sequence[int] = ()) -> None:
        """Waits until something may be there to be received, as `Inbox.wait` does."""
        self._inbox.wait(timeout_s, (*self.order_filenos(), *also))

    def nap(self, timeout_s: float) -> None:
        """Waits so long, whatever others send; less, if there is an order, or a waker."""
        watched = (*self.order_filenos(), *self.wakers)
        if self._nap is None or self._nap[0] != watched:
            poll = select.poll()
            for fd in watched:
                poll.register(fd, select.POLLIN)
            self._nap = watched, poll
        self._nap[1].poll(timeout_s * 1000)

    def close(self) -> None:
        """Takes no more orders."""
        if self._control is not None:
            self._control.close()

    def _read(self, buffers: list[Buffer] | None, came_by: Receiver) -> wire.Message | None:
        """The message; of what is none, nothing but a line in the log."""
        while buffers is not None:
            try:
                message = wire.read(buffers, came_by)
            except WireFormatError as error:
                logger.warning("%s dropped a message: %s", came_by.bound_address, error)
            else:
                if message.sender != SUPERVISOR or came_by is not self._inbox:
                    return message
                if self._control is None:
                    return message
                # Whoever can reach an inbox could say so: orders do not come this way.
            buffers = came_by.receive()
        return None
