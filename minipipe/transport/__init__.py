"""Sockets behind a small interface.  The only part of MiniPipe that imports `zmq`."""

from __future__ import annotations

from minipipe.errors import UnknownTransportError
from minipipe.transport.base import Buffer, Inbox, Outlet, Publisher, Transport
from minipipe.transport.inproc import InprocTransport
from minipipe.transport.zeromq import ZeroMQTransport

SCHEMES = ("inproc", "ipc", "tcp")


def open_transport(base: str) -> Transport:
    """The transport for a base address, whose scheme picks it.

    `ipc://DIRECTORY` (a private directory, in which inboxes become sockets),
    `tcp://HOST` (each inbox takes a free port), `inproc://NAME` (within this process).
    """
    scheme, sep, _ = base.partition("://")
    if not sep or scheme not in SCHEMES:
        raise UnknownTransportError(scheme, base, SCHEMES)
    return InprocTransport(base) if scheme == "inproc" else ZeroMQTransport(base)


__all__ = ["SCHEMES", "Buffer", "Inbox", "Outlet", "Publisher", "Transport", "open_transport"]
