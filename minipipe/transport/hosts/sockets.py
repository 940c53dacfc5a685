"""The options that all sockets between hosts have."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Sequence
from typing import Any

import zmq

from minipipe.protocol.flow.link import WINDOW_BYTES
from minipipe.protocol.flow.patience import Patience
from minipipe.protocol.hosts.pieces import CHUNK_BYTES, MAX_FRAMES, Buffer

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

HANDSHAKE_S = 3.0  # who has not come to its end by then is cut off
CONNECT_S = 1.0
# The largest frame is a chunk, or the head of a piece, and what CURVE adds to it.  That bounds what
# a stranger can have a socket allocate: libzmq makes room for a frame before it knows whose it is.
MAX_FRAME_BYTES = max(CHUNK_BYTES, 8 * MAX_FRAMES) + 1024

ZERO_COPY_BYTES = 1 << 16
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_NOBLOCK, _NOBLOCK_MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK) | int(zmq.SNDMORE)


def boot_time_s() -> float:
    """A clock that goes on while the machine sleeps, so that both ends of a link agree on it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def keep_memory() -> None:
    """What this process gives back to its allocator stays with the process, up to some 64 MiB.

    libzmq has a new piece of memory for each large frame that comes.  By the defaults of glibc each
    is given back to the kernel, so that every page of it is a fault and a page of zeros again: that
    was a quarter of the time of what large arrays took between two hosts.
    """
    with contextlib.suppress(AttributeError, OSError):  # (not of glibc)
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 8 * CHUNK_BYTES)
        mallopt(_M_TRIM_THRESHOLD, WINDOW_BYTES)


def allow_descriptors() -> None:
    """This process may have as many as the system lets it: each stranger at a port costs one.

    By the usual 1024 some hundred connections in the middle of a handshake kept friends out.
    """
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):  # (macOS has "no limit", and grants less)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def send_frames(socket: Any, frames: Sequence[Buffer]) -> None:
    """Puts a message into a socket.

    Raises:
        ZMQError: with the first frame, if there is no connection for it.
    """
    last = len(frames) - 1  # (`send_multipart` makes an enumeration's member of each flag)
    for at, frame in enumerate(frames):
        flags = _NOBLOCK if at == last else _NOBLOCK_MORE
        socket.send(frame, flags, copy=len(frame) < ZERO_COPY_BYTES)


def set_options(socket: zmq.Socket[Any], patience: Patience) -> None:
    """Before it is bound or connected.

    No high-water mark: the window of a link bounds what waits in a socket, and a mark would have to
    be waited for, which a ROUTER cannot do for one of its peers.
    """
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    socket.setsockopt(zmq.HANDSHAKE_IVL, int(HANDSHAKE_S * 1000))
    # A connection that is replaced as silent must not live on, with all that waits in it.
    socket.setsockopt(zmq.TCP_MAXRT, max(1, int(patience.silent_s * 1000)))
    for option, value in (
        (zmq.TCP_KEEPALIVE, 1),
        (zmq.TCP_KEEPALIVE_IDLE, 15),
        (zmq.TCP_KEEPALIVE_INTVL, 5),
        (zmq.TCP_KEEPALIVE_CNT, 3),
    ):
        socket.setsockopt(option, value)
