"""The receiving end of ZeroMQ connections: an inbox.  The others are in `transport.zeromq_sending`.

High-water marks are 0 (none): with them, messages that the kernel had accepted were lost when
a producer closed before a slow consumer had read them (measured: 32 to 904 of 1000 arrived),
and a publisher drops in silence what is beyond a subscriber's mark.  Without marks it never
does, so ZMQ_XPUB_NODROP has nothing to prevent; with both, one stopped subscriber would stop
the publisher, and so all others.
ZMTP heartbeats stay off: they disconnect healthy peers that are slow to read.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any, Final, cast

import zmq

from minipipe.errors import TransportError
from minipipe.errors.cause import because
from minipipe.transport.base import Buffer
from minipipe.transport.trust import Trust
from minipipe.transport.zeromq_sending import SEVERAL, Endpoint, remove_file

VIEW_BYTES: Final = 4_096  # frames above this are views of ZeroMQ's own message, without a copy

_EVENTS: Final = zmq.EVENTS
_NOBLOCK: Final = int(zmq.NOBLOCK)
_POLLIN: Final = int(zmq.POLLIN)  # as a plain number: `&` on the enum costs as much as the call
_RCVMORE: Final = int(zmq.RCVMORE)
_Again: Final = zmq.Again
_zmq_poll: Final = zmq.zmq_poll
# The class below pyzmq's own, which only routes, and looks up each name by a hook of its own.
_Base: Any = cast(Any, zmq.Socket).__mro__[1]
_recv_of: Any = _Base.recv.__get__
_get_of: Any = _Base.get.__get__


class ZeroMQInbox:
    """One bound PULL socket, and one SUB for each publisher subscribed to."""

    def __init__(
        self, socket: Any, place: Endpoint, trust: Trust, context: zmq.Context[Any]
    ) -> None:
        self._socket = socket
        self._recv: Any = _recv_of(socket)
        self._path = place.path
        self._context = context
        self.address = place.advertised
        self.bound_address = place.bound
        self.trust = trust
        # One SUB for each publisher: what a socket subscribes to holds for all its connections.
        self._subscriber_at: dict[str, Any] = {}
        self._sockets: list[Any] = [socket]
        self._turn = 0
        self._fds = [int(socket.FD)]
        self._timeout_ms = -1  # what the socket's own is
        self._poll: tuple[tuple[int, ...], Any] | None = None  # what was watched last, and how
        self._is_likely = True  # that there is a message
        self._is_empty = False  # nor has its descriptor been readable since it was found empty
        self._may_have: set[int] = set()  # of several sockets, those not found empty
        self._own_poll: Any
        self._watch_own()
        self._events: list[tuple[Any, int]] = [(socket, _POLLIN)]

    def receive(self) -> list[Buffer] | None:
        if self._subscriber_at:
            socket = self._next_readable()
            if socket is None:
                return None
            recv = _recv_of(socket)
        else:
            socket, recv = self._socket, self._recv
            if not self._is_likely:
                # Once it was found empty, its descriptor tells of what comes (zmq_getsockopt(3),
                # ZMQ_FD).  To ask the kernel costs a third of asking ZeroMQ by pyzmq, and that half
                # of being told by an exception that there is nothing.
                if self._is_empty:
                    if not self._own_poll.poll(0):
                        return None
                elif not _zmq_poll(self._events, 0):
                    self._is_empty = True
                    return None
            self._is_likely = self._is_empty = False
        try:
            frame = recv(_NOBLOCK)
        except _Again:  # found empty, which re-arms the descriptor, like asking for events
            self._is_empty = True
            return None
        return [frame] if frame != SEVERAL else self._frames(socket)

    @staticmethod
    def _frames(socket: Any) -> list[Buffer]:
        """What follows `SEVERAL`."""
        recv = _recv_of(socket)
        message: list[Buffer] = []
        more = _get_of(socket)(_RCVMORE)
        while more:
            frame = recv(_NOBLOCK, copy=False)
            more = frame.more
            small = len(frame) < VIEW_BYTES
            message.append(frame.bytes if small else frame.buffer)
        return message or [SEVERAL]

    def receive_within(self, timeout_s: float, also: Sequence[int] = ()) -> list[Buffer] | None:
        if also or self._subscriber_at:
            self.wait(timeout_s, also)
            return self.receive()
        # One socket, and nothing else to wait for: libzmq waits itself, and has the message when
        # it wakes up.
        timeout_ms = max(0, int(timeout_s * 1000 + 0.999))
        socket = self._socket
        if timeout_ms != self._timeout_ms:
            socket.setsockopt(zmq.RCVTIMEO, timeout_ms)
            self._timeout_ms = timeout_ms
        try:
            frame = self._recv()
        except _Again:
            self._is_empty = True
            return None
        self._is_empty = False
        return [frame] if frame != SEVERAL else self._frames(socket)

    def _next_readable(self) -> Any:
        """The next socket with a message, its topic taken off; None if all were found empty.

        Only those are asked that were not found empty, or whose descriptor is readable since.
        Asking a socket re-arms its descriptor, so a message that comes to one while another is
        being asked ends the next wait.
        """
        sockets, may_have = self._sockets, self._may_have
        for fd, _ in self._own_poll.poll(0):
            may_have.add(fd)
        if not may_have:
            return None
        for _ in sockets:
            self._turn = (self._turn + 1) % len(sockets)
            fd = self._fds[self._turn]
            if fd not in may_have:
                continue
            socket = sockets[self._turn]
            if socket.getsockopt(_EVENTS) & _POLLIN:
                if socket is not self._socket:
                    socket.recv(_NOBLOCK)
                return socket
            may_have.discard(fd)
        return None

    def _watch_own(self) -> None:
        """Its sockets are others than before: each is to be asked."""
        self._own_poll = select.poll()
        for fd in self._fds:
            self._own_poll.register(fd, select.POLLIN)
        self._may_have = set(self._fds)
        self._is_likely, self._is_empty = True, False

    def wait(self, timeout_s: float | None, also: Sequence[int] = ()) -> list[int]:
        # The sockets' own descriptors, not the sockets: a socket belongs to one thread at a
        # time, its descriptor to all.  They are edge-triggered, which is why callers must have
        # received until None before (zmq_getsockopt(3), ZMQ_FD).
        own = self._fds
        watched = (*own, *also)
        known, self._poll = self._poll, None  # ours alone while we wait: threads may meet here
        if known is None or known[0] != watched:
            poll = select.poll()
            for fd in own:
                poll.register(fd, select.POLLIN)
            for fd in also:
                poll.register(fd, select.POLLIN | select.POLLHUP)
            known = watched, poll
        timeout_ms = None if timeout_s is None else max(0, int(timeout_s * 1000 + 0.999))
        ready = known[1].poll(timeout_ms)
        self._poll = known
        others: list[int] = []
        for fd, _ in ready:
            if fd in own:
                self._is_likely = True
            else:
                others.append(fd)
        return others

    def subscribe(self, address: str, topics: Sequence[bytes]) -> None:
        socket = self._subscriber_at.get(address) or self._subscriber(address)
        # After the connect: then they go out one by one, in this order.  Those that are there
        # before it, and all of them at a reconnect, go out sorted (libzmq walks its tree of
        # them, xsub.cpp).
        for topic in topics:
            socket.setsockopt(zmq.SUBSCRIBE, topic)

    def _subscriber(self, address: str) -> Any:
        socket = self._context.socket(zmq.SUB)
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            refused = TransportError(f"cannot subscribe at {address!r}: {error}")
            raise because(refused, error) from error
        self._subscriber_at[address] = socket
        self._sockets = [*self._sockets, socket]
        self._fds = [*self._fds, int(socket.FD)]  # a new list: another thread may be in `wait`
        self._watch_own()
        return socket

    def unsubscribe(self, address: str) -> None:
        socket = self._subscriber_at.pop(address, None)
        if socket is None:
            return
        # New lists: another thread may be in `wait`.
        self._fds = [fd for fd in self._fds if fd != int(socket.FD)]
        self._sockets = [one for one in self._sockets if one is not socket]
        self._watch_own()
        socket.close(linger=0)  # or it would try to connect again ten times a second, for ever

    def close(self) -> None:
        if self._socket.closed:
            return
        for socket in self._sockets:
            socket.close(linger=0)
        remove_file(self._path)
