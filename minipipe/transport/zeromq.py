"""The transport over ZeroMQ, by ipc or tcp: PUSH to PULL for one, XPUB to SUB for many."""

from __future__ import annotations

import os
from typing import Any

import zmq

from minipipe.errors import TransportError
from minipipe.transport.trust import LOCAL, PLAIN_DATA, Trust
from minipipe.transport.zeromq_receiving import ZeroMQInbox
from minipipe.transport.zeromq_sending import Endpoint, ZeroMQOutlet, ZeroMQPublisher, remove_file

MAX_IPC_PATH_BYTES = 107


class ZeroMQTransport:
    """One ZeroMQ context, made in the process that uses it and never inherited by another.

    Args:
        base: where it binds.
        advertise: the host that others are told to connect to, where that is another one.
        trust: what its inboxes accept; None: what follows from who can reach them.
    """

    def __init__(self, base: str, advertise: str | None = None, trust: Trust | None = None) -> None:
        self._scheme, _, self._place = base.partition("://")
        self._told = self._place if advertise is None else advertise
        # A directory of this user's, where the file system lets nobody else in; else a port.
        reachable = LOCAL if self._scheme == "ipc" else PLAIN_DATA
        self._trust = reachable if trust is None else trust
        self._pid = os.getpid()
        self._inboxes: list[ZeroMQInbox] = []
        self._publishers: list[ZeroMQPublisher] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._context.setsockopt(zmq.LINGER, 0)
        self._context.setsockopt(zmq.SNDHWM, 0)
        self._context.setsockopt(zmq.RCVHWM, 0)

    def bind(self, name: str) -> ZeroMQInbox:
        inbox = ZeroMQInbox(*self._bound(zmq.PULL, name), self._trust, self._context)
        self._inboxes.append(inbox)
        return inbox

    def publish(self, name: str) -> ZeroMQPublisher:
        publisher = ZeroMQPublisher(*self._bound(zmq.XPUB, name))
        self._publishers.append(publisher)
        return publisher

    def _bound(self, kind: int, name: str) -> tuple[Any, Endpoint]:
        """A bound socket, and where it is."""
        path = os.path.join(self._place, name) if self._scheme == "ipc" else None
        if path is not None:
            self._check(path)
        socket = self._context.socket(kind)
        try:
            if path is not None:
                address = advertised = f"ipc://{path}"
                socket.bind(address)
            else:
                port = socket.bind_to_random_port(f"tcp://{self._place}")
                address, advertised = (f"tcp://{at}:{port}" for at in (self._place, self._told))
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise TransportError(f"cannot bind {name!r} in {self._place!r}: {error}") from error
        return socket, Endpoint(address, advertised, path)

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
        self._check_may_connect(address)
        socket = self._context.socket(zmq.PUSH)
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise TransportError(f"cannot connect to {address!r}: {error}") from error
        return ZeroMQOutlet(socket)

    @staticmethod
    def _check_may_connect(address: str) -> None:
        """Raises `TransportError` where libzmq would try for ever without a word."""
        scheme, _, path = address.partition("://")
        if scheme == "ipc":
            try:
                os.stat(path)
            except PermissionError as error:
                raise TransportError(
                    f"cannot connect to {address!r}: {error.strerror} "
                    "(has this process changed its user, by setuid in local_init, say?)"
                ) from error
            except OSError:
                pass  # its owner has ended meanwhile

    def remove(self, name: str) -> None:
        if self._scheme == "ipc":
            remove_file(os.path.join(self._place, name))

    def close(self, linger_s: float = 0.0) -> None:
        if os.getpid() == self._pid:  # sockets inherited over fork belong to the parent
            for inbox in self._inboxes:
                inbox.close()
            for publisher in self._publishers:
                publisher.close(linger_s)
            self._context.destroy(linger=int(linger_s * 1000))
