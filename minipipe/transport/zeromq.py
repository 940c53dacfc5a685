"""The transport over ZeroMQ: PULL inboxes, PUSH outlets, over ipc or tcp.

High-water marks are 0 (none): with them, messages that the kernel had accepted were lost when
a producer closed before a slow consumer had read them (measured: 32 to 904 of 1000 arrived).
ZMTP heartbeats stay off: they disconnect healthy peers that are slow to read.
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import Any

import zmq

from minipipe.errors import TransportError
from minipipe.transport.base import Buffer

# Above this, pyzmq's zero-copy send (a reference count and a callback) is cheaper than memcpy.
ZERO_COPY_BYTES = 65_536
# Frames above this are handed on as views of ZeroMQ's own message, without a copy.
VIEW_BYTES = 4_096
# What an outlet sends on after its close, if the transport lives on.
LINGER_S = 0.5
MAX_IPC_PATH_BYTES = 107

_EVENTS = zmq.EVENTS
_NOBLOCK = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_POLLIN = int(zmq.POLLIN)  # as a plain number: `&` on the enum costs as much as the call


class ZeroMQInbox:
    """One bound PULL socket."""

    def __init__(self, socket: Any, address: str, path: str | None) -> None:
        self._socket = socket
        self._path = path
        self.address = address
        self._fd = int(socket.FD)

    def receive(self) -> list[Buffer] | None:
        # Asking first is cheaper than an exception, and it is what re-arms the descriptor.
        if not self._socket.getsockopt(_EVENTS) & _POLLIN:
            return None
        frame = self._socket.recv(zmq.NOBLOCK, copy=False)
        message: list[Buffer] = [frame.bytes]
        while frame.more:
            frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            small = len(frame) < VIEW_BYTES
            message.append(frame.bytes if small else frame.buffer)
        return message

    def wait(self, timeout_s: float | None, also: Sequence[int] = ()) -> list[int]:
        # The socket's own descriptor, not the socket: a socket belongs to one thread at a time,
        # its descriptor to all.  It is edge-triggered, which is why callers must have received
        # until None before (zmq_getsockopt(3), ZMQ_FD).
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        for fd in also:
            poll.register(fd, select.POLLIN | select.POLLHUP)
        timeout_ms = None if timeout_s is None else max(0, int(timeout_s * 1000 + 0.999))
        return [fd for fd, _ in poll.poll(timeout_ms) if fd != self._fd]

    def close(self) -> None:
        if self._socket.closed:
            return
        self._socket.close(linger=0)
        if self._path is not None:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass  # its directory was removed before


class ZeroMQOutlet:
    """One connected PUSH socket."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        # Past pyzmq's outer `send`, which only adds routing ids and groups to this.
        self._send: Any = super(zmq.Socket, socket).send

    def send(self, message: Sequence[Buffer]) -> None:
        send = self._send
        last = len(message) - 1
        if not last:
            send(message[0], _NOBLOCK, copy=len(message[0]) < ZERO_COPY_BYTES)
            return
        for i, buffer in enumerate(message):
            flags = _MORE if i < last else _NOBLOCK
            send(buffer, flags, copy=len(buffer) < ZERO_COPY_BYTES)

    def close(self) -> None:
        self._socket.close(linger=int(LINGER_S * 1000))


class ZeroMQTransport:
    """One ZeroMQ context, made in the process that uses it and never inherited by another."""

    def __init__(self, base: str) -> None:
        self._scheme, _, self._place = base.partition("://")
        self._pid = os.getpid()
        self._inboxes: list[ZeroMQInbox] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._context.setsockopt(zmq.LINGER, 0)
        self._context.setsockopt(zmq.SNDHWM, 0)
        self._context.setsockopt(zmq.RCVHWM, 0)

    def bind(self, name: str) -> ZeroMQInbox:
        socket = self._context.socket(zmq.PULL)
        path = None
        try:
            if self._scheme == "ipc":
                path = os.path.join(self._place, name)
                self._check(path)
                socket.bind(f"ipc://{path}")
                address = f"ipc://{path}"
            else:
                port = socket.bind_to_random_port(f"tcp://{self._place}")
                address = f"tcp://{self._place}:{port}"
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise TransportError(f"cannot bind {name!r} in {self._place!r}: {error}") from error
        self._inboxes.append(ZeroMQInbox(socket, address, path))
        return self._inboxes[-1]

    @staticmethod
    def _check(path: str) -> None:
        if len(os.fsencode(path)) > MAX_IPC_PATH_BYTES:
            raise TransportError(
                f"the socket path {path!r} is longer than {MAX_IPC_PATH_BYTES} bytes: "
                "set TMPDIR to a shorter directory"
            )
        if os.path.lexists(path):  # libzmq would silently take it from its owner
            raise TransportError(f"the socket path {path!r} is in use")

    def connect(self, address: str) -> ZeroMQOutlet:
        socket = self._context.socket(zmq.PUSH)
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise TransportError(f"cannot connect to {address!r}: {error}") from error
        return ZeroMQOutlet(socket)

    def close(self, linger_s: float = 0.0) -> None:
        if os.getpid() == self._pid:  # sockets inherited over fork belong to the parent
            for inbox in self._inboxes:
                inbox.close()  # libzmq would leave its file
            self._context.destroy(linger=int(linger_s * 1000))
