"""Orders to one worker, by a socket pair of its own: apart from items, and from ZeroMQ.

Its supervisor, or later an agent of that on the worker's machine, makes the pair; the worker
inherits one end, or is passed it (SCM_RIGHTS).  So an order wakes up nobody but who it is for, it
needs no file in the run's directory, and the end of the file says that the supervisor has ended.

    message = length (8 bytes), head (as of `stream.wire`)
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from minipipe.transport.base import Buffer, Outlet
from minipipe.transport.trust import LOCAL, Trust

LENGTH = struct.Struct("<Q")
CHUNK_BYTES = 65_536
TURN_BYTES = 1 << 20  # no worker is sent more at a time, so that others come to theirs
LOOK_S = 0.02  # where there is no epoll, those that could not take all are looked at this often

_FLAGS = getattr(socket, "MSG_NOSIGNAL", 0) | socket.MSG_DONTWAIT
_LATER = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM, errno.EINTR)
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)


class ControlOutlet:
    """The supervisor's end (an `Outlet`): never blocks, and keeps what a slow worker has not read.

    A worker that has ended is sent nothing more, without an error: that it has is told elsewhere.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._waiting: deque[memoryview] = deque()
        self._gone = False

    def fileno(self) -> int:
        return self._end.fileno()

    @property
    def waits(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._waiting)

    def send(self, message: Sequence[Buffer]) -> None:
        (head,) = message  # items do not come this way
        was_empty = not self._waiting
        self._waiting.append(memoryview(LENGTH.pack(len(head)) + bytes(head)))
        if was_empty:
            self.flush()

    def flush(self) -> None:
        """Sends of what waits as much as there is room for now, and no more than TURN_BYTES."""
        left = TURN_BYTES
        while self._waiting and left > 0:
            try:
                sent = 0 if self._gone else self._end.send(self._waiting[0][:left], _FLAGS)
            except OSError as error:
                if error.errno in _LATER:
                    return
                if error.errno not in _GONE:
                    raise
                self._gone = True
            if self._gone:
                self._waiting.clear()
                return
            left -= sent
            if sent == len(self._waiting[0]):
                self._waiting.popleft()
            else:
                self._waiting[0] = self._waiting[0][sent:]

    def close(self) -> None:
        self._waiting.clear()
        self._end.close()


class _Worker(NamedTuple):
    """One of all workers, as an `Outlet`."""

    controls: Controls
    ident: int

    def send(self, message: Sequence[Buffer]) -> None:
        self.controls.send(self.ident, message)

    def close(self) -> None:
        self.controls.close(self.ident)


class ControlInbox:
    """The worker's end: gives its orders in the order in which they were sent.

    Attributes:
        closed: the other end is: nothing more comes.

    Args:
        fd: of the socket.
    """

    trust: Trust = LOCAL  # nobody else can reach it
    bound_address = "the orders of the supervisor"

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._came = bytearray()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self.closed = False

    def fileno(self) -> int:
        """A descriptor that is readable while `receive` may have something, or is at its end."""
        return self._fd

    def receive(self) -> list[Buffer] | None:
        """The next order, or None if there is none now.  Never blocks.  One thread at a time."""
        while True:
            head = self._next()
            if head is not None:
                return [head]
            if not self._poll.poll(0):  # to be told so by an exception costs more
                return None
            try:
                chunk = os.read(self._fd, CHUNK_BYTES)
            except BlockingIOError:
                return None
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                self.closed = True
                return None
            self._came += chunk

    def _next(self) -> bytes | None:
        came = self._came
        if len(came) < LENGTH.size:
            return None
        stop = LENGTH.size + LENGTH.unpack_from(came)[0]
        if len(came) < stop:
            return None
        head = bytes(came[LENGTH.size : stop])
        del came[:stop]
        return head

    def close(self) -> None:
        """Takes no more orders; once."""
        os.close(self._fd)


class Controls:
    """The supervisor's ends to all of its workers."""

    def __init__(self) -> None:
        self._outlets: dict[int, ControlOutlet] = {}
        self._slow: set[int] = set()  # those that have not taken all
        self._room = select.epoll() if hasattr(select, "epoll") else None

    def open(self, worker: int) -> socket.socket:
        """Makes the pair of a worker whose process is to be started; its end is the caller's."""
        self.close(worker)  # of an attempt that came to nothing
        ours, theirs = socket.socketpair()
        self._outlets[worker] = ControlOutlet(ours)
        return theirs

    def outlet(self, worker: int) -> Outlet:
        """Where its orders are sent to."""
        return _Worker(self, worker)

    def send(self, worker: int, message: Sequence[Buffer]) -> None:
        """Sends an order, without blocking; to one that is not there any more, nothing."""
        outlet = self._outlets.get(worker)
        if outlet is not None:
            outlet.send(message)
            self._watch(worker, outlet)

    def _watch(self, worker: int, outlet: ControlOutlet) -> None:
        """Whoever has not taken all is watched until it has room again."""
        if outlet.waits == (worker in self._slow):
            return
        if outlet.waits:
            self._slow.add(worker)
            if self._room is not None:
                self._room.register(outlet.fileno(), select.EPOLLOUT)
        else:
            self._slow.discard(worker)
            if self._room is not None:
                self._room.unregister(outlet.fileno())

    def filenos(self) -> list[int]:
        """What is readable when `flush` can send something."""
        return [] if self._room is None or not self._slow else [self._room.fileno()]

    @property
    def look_every_s(self) -> float | None:
        """How often to call `flush`, whatever is readable; None: `filenos` are enough."""
        return LOOK_S if self._room is None and self._slow else None

    def flush(self) -> None:
        """Sends more to those that had no room."""
        for worker in tuple(self._slow):
            outlet = self._outlets[worker]
            outlet.flush()
            self._watch(worker, outlet)

    def not_for_children(self) -> list[int]:
        """The descriptors that another worker, if it inherited them, would keep open."""
        ends = [outlet.fileno() for outlet in self._outlets.values()]
        return ends if self._room is None else [*ends, self._room.fileno()]

    def close(self, worker: int) -> None:
        """Sends nothing more to a worker; to itself that says that its supervisor has ended."""
        outlet = self._outlets.pop(worker, None)
        if outlet is not None:
            if worker in self._slow and self._room is not None:
                # By hand: what the user has forked may have it, too, and so keep it in there.
                self._room.unregister(outlet.fileno())
            self._slow.discard(worker)
            outlet.close()

    def end(self) -> None:
        """Closes all of them."""
        for worker in tuple(self._outlets):
            self.close(worker)
        if self._room is not None:
            self._room.close()
