"""The one socket of a host that others connect to, by CURVE and a list of keys that changes.

Guests come in by the secret of the token, and may do nothing but ask to join; hosts come in by a
key of their own, which a welcome has put on the list.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import zmq

from minipipe.errors import OptionError, TransportError
from minipipe.protocol.admission import Admission, Stranger, StrangerLog
from minipipe.protocol.flow.patience import DEFAULT, Patience
from minipipe.protocol.hosts.pieces import Buffer
from minipipe.transport.addresses import parse_address
from minipipe.transport.curve import CurveKeys, raw_key, serve_curve
from minipipe.transport.hosts.plain import Hellos
from minipipe.transport.hosts.sockets import send_frames, set_options
from minipipe.transport.program_socket import why_not_bound
from minipipe.transport.watch import SocketWatch

logger = logging.getLogger("minipipe")

GUEST = "guest"
BACKLOG = 1024


class Came(NamedTuple):
    """A message.

    Attributes:
        user: whose it is: `GUEST`, or the name under which a key was admitted; "": nobody's.
        connection: by which it came.
    """

    user: str
    connection: bytes
    frames: list[Buffer]


class Accepting:
    """The socket, in the one thread that uses it.

    Args:
        keys: of this host.
        address: to bind to, `tcp://HOST:PORT`; port 0 is any that is free.
        where: it belongs to, for what is logged.
        patience: of the links that come in by it.
        is_plain: nothing is encrypted, and who is who is believed.

    Raises:
        OptionError: the address is none.
        TransportError: it cannot be bound.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        keys: CurveKeys,
        address: str,
        where: str,
        patience: Patience = DEFAULT,
        *,
        is_plain: bool = False,
    ) -> None:
        any_port = address.endswith(":0")
        checked = parse_address(address[:-1] + "1" if any_port else address, where, bind=True)
        if checked.scheme != "tcp":
            raise OptionError(f"{where} is bound to 'tcp://HOST:PORT', got {address!r}")
        self._admission = Admission(())
        self._hellos = Hellos() if is_plain else None
        self._strangers = StrangerLog(f"{where} ({address})")  # where nothing is encrypted
        self._watch: SocketWatch | None = None
        self.socket: Any = context.socket(zmq.ROUTER)
        try:
            set_options(self.socket, patience)
            self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # says so if a connection is gone
            self.socket.setsockopt(zmq.BACKLOG, BACKLOG)
            self.socket.setsockopt(zmq.IPV6, int(checked.is_ipv6))
            if not is_plain:
                serve_curve(self.socket, keys)
            self._watch = SocketWatch(
                *(context, self.socket, f"{where} ({address})", None),
                admission=None if is_plain else self._admission,
                lonely_s=None,
            )
            self.socket.bind(f"{checked.text[:-1]}*" if any_port else checked.text)
        except zmq.ZMQError as error:
            self.close()
            why = why_not_bound(error, "port 0 is any that is free", "0.0.0.0 is all of them")
            raise TransportError(f"{where} cannot bind to {address}: {why}") from error
        except BaseException:
            self.close()
            raise
        self.port = int(self.socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").rpartition(b":")[2])

    def admit(self, key: str, user: str) -> None:
        """Who has this key comes in from now on."""
        raw = raw_key(key, "a key that is admitted")
        self._admission.admit(raw, user)
        if self._hellos is not None:
            self._hellos.admit(raw, user)

    def dismiss(self, key: str) -> None:
        """Who has this key does not come in any more."""
        raw = raw_key(key, "a key that is dismissed")
        self._admission.dismiss(raw)
        if self._hellos is not None:
            self._hellos.dismiss(raw)

    def receive(self) -> Came | None:
        """The next message; None if there is none now."""
        try:
            first, *rest = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        buffers: list[Buffer] = [frame.buffer for frame in rest]
        if self._hellos is not None:
            user = self._hellos.user_of(first.bytes, buffers)
            if user == "" and (line := self._strangers.note(Stranger.NO_HELLO, time.monotonic())):
                logger.warning("%s", line)
            # (A hello is nobody's: nothing is done about it.)
            return Came(user or "", first.bytes, buffers)
        try:
            user = str(first.get("User-Id"))
        except zmq.ZMQError:  # it has none: nobody was asked whether it may come in
            user = ""
        return Came(user, first.bytes, buffers)

    def send(self, connection: bytes, frames: Sequence[Buffer]) -> bool:
        """Puts a message into a connection; False: that is gone."""
        try:
            send_frames(self.socket, [connection, *frames])
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        return True

    def close(self, linger_s: float = 0.0) -> None:
        """Ends it, with all that waits in it after that time."""
        if not self.socket.closed:
            self.socket.close(linger=int(linger_s * 1000))
            if self._watch is not None:
                self._watch.close()
            for line in self._strangers.last():
                logger.warning("%s", line)


class AcceptedConnection:
    """A connection of the other end of a link."""

    def __init__(self, accepting: Accepting, connection: bytes, attempt: int) -> None:
        self.connection, self.attempt = connection, attempt
        self._accepting = accepting

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Puts a message into it; False: it is gone."""
        return self._accepting.send(self.connection, frames)

    def close(self, linger_s: float = 0.0) -> None:
        """Does nothing: a ROUTER ends none of its connections.  What comes by it is not taken."""
