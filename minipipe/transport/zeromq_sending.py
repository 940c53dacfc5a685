"""The sending ends of ZeroMQ connections: to one inbox, and to many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

import zmq

from minipipe.transport.base import Buffer

# Above this, pyzmq's zero-copy send is cheaper than memcpy.  (Its price is a callback, and a thread
# of Python's that is woken up to let go of the buffer, beside ours, which is busy.  So parcels of
# small items, of up to 256 KiB, are copied.)
ZERO_COPY_BYTES: Final = 320 * 1024
LINGER_S: Final = 0.5  # what a closed outlet or publisher sends on, if the transport lives on
# A message of several frames, or of a large one, has this before them; no head is like it.  So all
# others are received as bytes: a frame that knows whether more follow costs four times as much,
# and so does to ask for that beside bytes (RCVMORE).  Who takes what an outlet sends leaves this
# out: `transport.zeromq_receiving`, `transport.hosts.local_inbox`.
SEVERAL: Final = b"+"
ALONE_BYTES: Final = 16 * 1024  # a smaller message is copied when it is received

_EVENTS: Final = zmq.EVENTS
_NOBLOCK: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_POLLIN: Final = int(zmq.POLLIN)  # as a plain number: `&` on the enum costs as much as the call
_send_of: Any = cast(Any, zmq.Socket).__mro__[1].send.__get__  # below pyzmq's, which only routes
# How what comes up an XPUB begins; b"\x00" for one who has left or died.
_SUBSCRIBED: Final = b"\x01"


class Endpoint(NamedTuple):
    """Where a socket is bound.

    Attributes:
        bound: the address here.
        advertised: the one that others are told, and can connect to.
        path: of its file, if it has one.
    """

    bound: str
    advertised: str
    path: str | None


class ZeroMQOutlet:
    """One connected PUSH socket."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._send: Any = _send_of(socket)

    def send(self, message: Sequence[Buffer]) -> None:
        send = self._send
        last = len(message) - 1
        if not last and len(message[0]) < ALONE_BYTES:
            send(message[0], _NOBLOCK)
            return
        send(SEVERAL, _MORE)
        for i, buffer in enumerate(message):
            flags = _MORE if i < last else _NOBLOCK
            send(buffer, flags, copy=len(buffer) < ZERO_COPY_BYTES)

    def close(self) -> None:
        self._socket.close(linger=int(LINGER_S * 1000))


class ZeroMQPublisher:
    """One bound XPUB socket."""

    def __init__(self, socket: zmq.Socket[bytes], place: Endpoint) -> None:
        self._socket: Any = socket
        self._path = place.path
        self.address = place.advertised
        self._fd = int(socket.FD)
        self._outlet = ZeroMQOutlet(socket)
        self._send: Any = _send_of(socket)

    def fileno(self) -> int:
        return self._fd

    def subscriptions(self) -> list[bytes]:
        topics = []
        while self._socket.getsockopt(_EVENTS) & _POLLIN:
            news = self._socket.recv(_NOBLOCK)
            if news.startswith(_SUBSCRIBED):
                topics.append(news[1:])
        return topics

    def send(self, topic: bytes, message: Sequence[Buffer]) -> None:
        # A copied topic and large frames by reference: libzmq counts references over all
        # subscribers, so that one buffer serves them all.
        self._send(topic, _MORE)
        self._outlet.send(message)

    def close(self, linger_s: float = LINGER_S) -> None:
        if self._socket.closed:
            return
        self._socket.close(linger=int(linger_s * 1000))
        remove_file(self._path)


def remove_file(path: str | None) -> None:
    """The ipc file at `path`, if it is one, is gone: libzmq would leave it."""
    if path is not None:
        try:
            os.unlink(path)
        except (FileNotFoundError, PermissionError):
            pass  # its directory was removed before, or this process has become another user's
