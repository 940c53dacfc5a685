"""An attempt to connect to a host: all of its addresses at once, and the first that answers stays.

The sockets of an attempt never connect again by themselves.  What waits in a socket whose
connection has broken would go to the next one, beside what the link sends again; so a link makes a
new attempt.
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Sequence
from typing import Any

import zmq

from minipipe.protocol.flow.patience import DEFAULT, Patience
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.pieces import Buffer
from minipipe.transport.curve import CurveClient
from minipipe.transport.hosts.plain import hello
from minipipe.transport.hosts.sockets import CONNECT_S, send_frames, set_options

_EVENT = struct.Struct("=HI")
_CONNECTED, _READY = int(zmq.Event.CONNECTED), int(zmq.Event.HANDSHAKE_SUCCEEDED)
_DENIED = int(zmq.Event.HANDSHAKE_FAILED_AUTH)
_FAILED = _DENIED | int(zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.HANDSHAKE_FAILED_PROTOCOL)
_ENDED = int(zmq.Event.CLOSED | zmq.Event.DISCONNECTED)


class Line:
    """A socket to one address.

    Attributes:
        is_connected: somebody is there, or was.
        is_ready: the handshake has come to its end (and the connection perhaps, too).
        is_denied: the other host lets nobody in by this key.
        why: it is not there, or not any more.
    """

    def __init__(
        self, context: zmq.Context[Any], endpoint: Endpoint, curve: CurveClient, patience: Patience
    ) -> None:
        self.endpoint = endpoint
        self.is_ready = False
        self.has_ended = self.is_denied = False
        self.why = "nobody has answered there yet"
        self.is_connected = False
        self._began_s = time.monotonic()
        self.socket: Any = context.socket(zmq.DEALER)
        try:
            set_options(self.socket, patience)
            self.socket.setsockopt(zmq.RECONNECT_IVL, -1)
            self.socket.setsockopt(zmq.IMMEDIATE, 1)
            self.socket.setsockopt(zmq.CONNECT_TIMEOUT, int(CONNECT_S * 1000))
            if ":" in endpoint.host:
                self.socket.setsockopt(zmq.IPV6, 1)
            curve.apply(self.socket)
            events = _CONNECTED | _READY | _FAILED | _ENDED
            self.monitor: Any = self.socket.get_monitor_socket(events)
            self.socket.connect(endpoint.connected)
        except BaseException:
            self.close(0.0)
            raise

    def look(self) -> None:
        """Takes in what has become of the connection."""
        while not self.has_ended:
            try:
                message = self.monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            event, value = _EVENT.unpack(message[0])
            if event & _CONNECTED:
                self.is_connected, self.why = True, "somebody is there, and says nothing"
            elif event & _READY:
                self.is_ready, self.why = True, "the connection has ended"
            elif event & _DENIED:
                self.is_denied = True
                self.why = "the run does not accept this key or token (any more)"
            elif event & _FAILED and value != errno.EAGAIN:  # (that is: not in time)
                self.why = (
                    "who answers does not have the key of this run (or the line broke): if the "
                    "token is that of an earlier run, take the one that this run has printed"
                )
            elif event & _ENDED:
                self._end()

    def _end(self) -> None:
        self.has_ended = True
        if not self.is_connected:
            quick = time.monotonic() - self._began_s < CONNECT_S / 2
            self.why = (
                "nobody listens on that port, or there is no way to that host"
                if quick
                else f"nobody has answered within {CONNECT_S:.0f} s (a firewall that drops?)"
            )

    def close(self, linger_s: float) -> None:
        """With all that waits in it, after that time."""
        if self.socket.closed:
            return
        self.socket.disable_monitor()  # its address is that of a descriptor, which is used again
        self.socket.close(linger=int(linger_s * 1000))
        if hasattr(self, "monitor"):
            self.monitor.close(linger=0)


class Dial:
    """One attempt, and the connection that it comes to.

    Attributes:
        attempt: its number, which the other end is told.
        is_closed: it is given up, perhaps by the link, in the middle of a round.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoints: Sequence[Endpoint],
        curve: CurveClient,
        attempt: int = 1,
        patience: Patience = DEFAULT,
    ) -> None:
        self.attempt, self.is_closed = attempt, False
        self._hello = hello(curve.keys) if curve.is_plain else None
        self._line: Line | None = None
        self.lines: list[Line] = []
        try:
            for endpoint in endpoints:
                self.lines.append(Line(context, endpoint, curve, patience))
        except BaseException:
            self.close()
            raise

    @property
    def sockets(self) -> list[Any]:
        """To wait for input."""
        line = self._line
        if self.is_closed:
            return []
        return [one.monitor for one in self.lines] + ([] if line is None else [line.socket])

    def look(self) -> None:
        """Takes in what has become of it; the first connection that is ready stays alone."""
        for line in self.lines:
            line.look()
        if self._line is None and (ready := [one for one in self.lines if one.is_ready]):
            self._line = ready[0]
            for line in self.lines:
                if line is not ready[0]:
                    line.close(0.0)
            self.lines = ready[:1]
            if self._hello is not None:
                self.send(self._hello)

    @property
    def is_ready(self) -> bool:
        """Whether a connection is there (or was)."""
        return self._line is not None

    @property
    def has_ended(self) -> bool:
        """Whether none is there, and none will be."""
        return all(line.has_ended for line in self.lines)

    @property
    def has_met_somebody(self) -> bool:
        """Whether somebody was there, whoever that was."""
        return any(line.is_connected for line in self.lines)

    @property
    def is_denied(self) -> bool:
        """Whether the other host has said that it lets nobody in by this key."""
        return any(line.is_denied for line in self.lines)

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the connection goes to."""
        return None if self._line is None else self._line.endpoint

    def why(self) -> str:
        """What has become of each address."""
        return "; ".join(f"{line.endpoint.address}: {line.why}" for line in self.lines)

    def receive(self) -> list[Buffer] | None:
        """The next message; None if there is none now."""
        if self._line is None:
            return None
        try:
            frames = self._line.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        return [frame.buffer for frame in frames]

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Puts a message into the connection; False: it is broken."""
        if self._line is None:
            return False
        try:
            send_frames(self._line.socket, frames)
        except zmq.Again:  # no pipe: its end has not been read from the monitor yet
            return False
        return True

    def close(self, linger_s: float = 0.0) -> None:
        """Ends it, with all that waits in it after that time."""
        self.is_closed = True
        for line in self.lines:
            line.close(linger_s)
