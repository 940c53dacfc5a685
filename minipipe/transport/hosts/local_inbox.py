"""Where the workers of a host put what is for workers of other hosts."""

from __future__ import annotations

import os
from typing import Any

import zmq

from minipipe.transport.base import Buffer
from minipipe.transport.trust import NATIVE
from minipipe.transport.zeromq_sending import SEVERAL

NAME = "g"  # of its file in the run's directory


def gateway_address(directory: str) -> str:
    """Where workers connect to, to reach other hosts.

    Args:
        directory: of the run, on this machine.
    """
    return f"ipc://{os.path.join(directory, NAME)}"


class LocalInbox:
    """The socket, in the one thread that uses it.

    Attributes:
        socket: to wait for input.
        bound_address: where it is.
        trust: as of the workers here, whatever the run accepts: all of it is only sent on.

    Args:
        directory: of the run, on this machine; nobody else than its user can reach what is in it.
    """

    def __init__(self, directory: str) -> None:
        self._context: zmq.Context[Any] = zmq.Context(io_threads=1)
        self.socket: Any = self._context.socket(zmq.PULL)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.bound_address, self.trust = gateway_address(directory), NATIVE
        self.socket.bind(self.bound_address)

    def receive(self) -> list[Buffer] | None:
        """The next message; None if there is none now."""
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        message = [frame.buffer for frame in frames]
        return message[1:] if len(message) > 1 and message[0] == SEVERAL else message

    def close(self) -> None:
        """Forgets what was not received."""
        self.socket.close(linger=0)
        self._context.term()
