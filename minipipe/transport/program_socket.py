"""One socket whose other ends are programs that are not MiniPipe: PULL, SUB, PUSH, PUB.

Unlike the sockets of a run it has high-water marks (nobody gives credit), a limit to the size of
frames, and, beyond this machine, CURVE.
"""

from __future__ import annotations

import errno
import logging
import os
import socket as unix
import stat
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from minipipe.errors import TransportError
from minipipe.transport.addresses import Address
from minipipe.transport.base import Buffer
from minipipe.transport.watch import Curve, SocketWatch
from minipipe.transport.zeromq_sending import ZERO_COPY_BYTES

try:
    import fcntl
    import termios
except ImportError:  # Windows, where nobody can say what is unread
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger("minipipe")

PATTERNS = {"pull": zmq.PULL, "sub": zmq.SUB, "push": zmq.PUSH, "pub": zmq.PUB}
HANDSHAKE_S = 3.0  # a peer that has not come to its end by then is cut off
LOOK_S = 0.25  # whoever waits is asked so often whether to go on
_NOBLOCK = int(zmq.NOBLOCK)
_MOST_MS = 2**31 - 1  # that libzmq can be told
_UNREAD_S, _UNREAD_LOOKS = 0.005, 3


@dataclass(frozen=True)
class SocketPlan:
    """What a socket is to be.

    Attributes:
        where: it belongs to, for errors.
        pattern: "pull", "sub", "push" or "pub".
        bind: it waits for others, instead of going to them.
        hwm: so many messages wait on this side, for each peer.
        max_bytes: of a message; twice as much in one frame cuts the connection, before it is read.
        topics: what a "sub" subscribes to; () is everything.
        curve: the keys; None: neither encrypted nor authenticated.
    """

    where: str
    address: Address
    pattern: str
    bind: bool
    hwm: int
    max_bytes: int
    topics: Sequence[bytes] = ()
    curve: Curve = None

    def __str__(self) -> str:
        return f"{self.where} ({self.address.text})"


class ProgramSocket:
    """The socket, in the one thread that uses it.

    Raises:
        TransportError: it cannot be bound or connected.
    """

    def __init__(self, plan: SocketPlan) -> None:
        self.plan = plan
        self._file: tuple[int, int] | None = None  # the ipc file that is ours
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._socket: Any = self._context.socket(PATTERNS[plan.pattern])
        self._watch: SocketWatch | None = None
        try:
            self._set_options()
            self._watch = SocketWatch(self._context, self._socket, str(plan), plan.curve)
            self._bind() if plan.bind else self._connect()
        except BaseException:
            self.close(0.0)
            raise
        if plan.curve is None and not plan.address.is_local:
            logger.warning(
                "%s is neither encrypted nor authenticated (security='none'): whoever reaches it "
                "can %s",
                *(plan, "feed it" if plan.pattern in ("pull", "sub") else "read what it sends"),
            )

    def _set_options(self) -> None:
        plan, socket = self.plan, self._socket
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, plan.hwm)
        socket.setsockopt(zmq.RCVHWM, plan.hwm)
        socket.setsockopt(zmq.MAXMSGSIZE, 2 * plan.max_bytes)
        socket.setsockopt(zmq.HANDSHAKE_IVL, int(HANDSHAKE_S * 1000))
        if plan.address.is_ipv6:
            socket.setsockopt(zmq.IPV6, 1)
        if plan.pattern == "sub":
            for topic in plan.topics or (b"",):
                socket.setsockopt(zmq.SUBSCRIBE, topic)
        if plan.curve is not None:
            if not zmq.has("curve"):
                raise TransportError(f"{plan}: this pyzmq was built without CURVE (libsodium)")
            plan.curve.apply(socket)

    def _bind(self) -> None:
        address, path = self.plan.address, self.plan.address.path
        if path is not None:
            self._make_way(path)
        try:
            self._socket.bind(address.text)
        except zmq.ZMQError as error:
            raise TransportError(f"{self.plan} cannot bind: {why_not_bound(error)}") from error
        if path is not None:
            status = os.stat(path)
            self._file = status.st_dev, status.st_ino

    def _make_way(self, path: str) -> None:
        """Takes away the file of a socket whose owner has died; libzmq would take anybody's."""
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):  # to connect to any other file is "refused", too
            raise TransportError(f"{self.plan} cannot bind: the file {path!r} is in the way")
        with unix.socket(unix.AF_UNIX, unix.SOCK_STREAM) as probe:
            probe.setblocking(False)  # one whose queue is full is there, too
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
                return
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EINPROGRESS):
                    why = f"{path!r} is in the way ({os.strerror(error.errno or 0)})"
                    raise TransportError(f"{self.plan} cannot bind: {why}") from error
        raise TransportError(
            f"{self.plan} cannot bind: another program is bound there (one end binds, the other "
            "connects)"
        )

    def _connect(self) -> None:
        try:
            self._socket.connect(self.plan.address.text)
        except zmq.ZMQError as error:
            raise TransportError(f"{self.plan} cannot connect: {error}") from error

    @property
    def peers(self) -> frozenset[int]:
        """Descriptors of the connections that there are now."""
        return frozenset() if self._watch is None else self._watch.peers

    def receive(self, timeout_s: float) -> list[Buffer] | None:
        """The next message; None if none came within that time."""
        frames = self._received()
        if frames is None and self._socket.poll(max(1, int(timeout_s * 1000))):
            frames = self._received()
        return None if frames is None else [frame.buffer for frame in frames]

    def _received(self) -> Any:
        try:
            return self._socket.recv_multipart(_NOBLOCK, copy=False)
        except zmq.Again:
            return None

    def send(self, frames: Sequence[Buffer], goes_on: Callable[[], bool]) -> bool:
        """Hands a message over to ZeroMQ, as soon as a peer has room for it (a "pub": at once).

        What waits for a first peer stays here: ZeroMQ would take some on its own account.

        Args:
            goes_on: asked now and then whether to wait on; False: the message was not sent.
        """
        assert self._watch is not None
        if self.plan.pattern == "push":
            while not self._watch.ready.wait(LOOK_S):
                if not goes_on():
                    return False
        copy = all(len(frame) < ZERO_COPY_BYTES for frame in frames)
        while True:
            try:
                self._socket.send_multipart(frames, _NOBLOCK, copy=copy)
                return True
            except zmq.Again:
                if not self._socket.poll(int(LOOK_S * 1000), zmq.POLLOUT) and not goes_on():
                    return False

    def close(self, linger_s: float) -> int:
        """Closes it, after the peers have read what was sent, or that time.

        Closed before, what is in the kernel would be lost to a peer that has stopped reading at its
        high-water mark, over ipc (measured: 32 to 904 of 1000 messages arrived).

        Returns:
            How many bytes are still unread, as far as is known.
        """
        unread = 0
        if self._socket.closed:
            return unread
        until_s = time.monotonic() + linger_s
        if self._watch is not None and linger_s:
            unread = self._wait_until_read(until_s)
        left_s = max(0.0, until_s - time.monotonic())
        self._socket.close(linger=int(min(left_s * 1000, _MOST_MS)))
        if self._watch is not None:
            self._watch.close()
        self._context.term()
        path = self.plan.address.path
        if path is not None and self._file is not None:
            try:
                status = os.stat(path)
                if (status.st_dev, status.st_ino) == self._file:
                    os.unlink(path)
            except FileNotFoundError:
                pass  # libzmq has removed it, or somebody its directory
        return unread

    def _wait_until_read(self, until_s: float) -> int:
        looks = 0
        while True:
            unread = sum(map(_unread_bytes, self.peers))
            # (Between two reads of the peer the kernel has nothing, and ZeroMQ may have more.)
            looks = 0 if unread else looks + 1
            if looks == _UNREAD_LOOKS or time.monotonic() >= until_s:
                return unread
            time.sleep(_UNREAD_S)


def _unread_bytes(fd: int) -> int:
    """What was sent by a connection and not read (over tcp: not acknowledged) yet."""
    if fcntl is None:
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0" * 4))[0])
    except OSError:
        return 0  # it was closed just now


def why_not_bound(
    error: zmq.ZMQError,
    in_use: str = "one end binds, the other connects",
    elsewhere: str = "bind=False connects to another one",
) -> str:
    """What libzmq means, for who has chosen the address; and what to do where that is taken."""
    if error.errno == errno.EADDRINUSE:
        return f"the port is in use by another program ({in_use})"
    if error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL):
        return f"this is no address of this machine ({elsewhere})"
    return str(error)
