"""Sockets behind a small interface.  The only part of MiniPipe that imports `zmq`."""

from __future__ import annotations

from minipipe.errors import UnknownTransportError
from minipipe.transport.base import Buffer, Inbox, Outlet, Publisher, Receiver, Transport
from minipipe.transport.control import ControlInbox, Controls
from minipipe.transport.inproc import InprocTransport
from minipipe.transport.trust import LOCAL, NATIVE, PLAIN_DATA, Trust
from minipipe.transport.zeromq import ZeroMQTransport

SCHEMES = ("inproc", "ipc", "tcp")


def open_transport(
    base: str, advertise: str | None = None, trust: Trust | None = None
) -> Transport:
    """The transport for a base address, whose scheme picks it.

    `ipc://DIRECTORY` (a private directory, in which inboxes become sockets),
    `tcp://HOST` (each inbox takes a free port), `inproc://NAME` (within this process).

    Args:
        advertise: with tcp, the host that others are told to connect to, if it is not `HOST`
            (which may be that of one network card, or 0.0.0.0 for all).
        trust: what its inboxes accept; None: what follows from who can reach them.
    """
    scheme, sep, _ = base.partition("://")
    if not sep or scheme not in SCHEMES:
        raise UnknownTransportError(scheme, base, SCHEMES)
    if scheme == "inproc":
        return InprocTransport(base, trust)
    return ZeroMQTransport(base, advertise, trust)


__all__ = [
    "LOCAL",
    "NATIVE",
    "PLAIN_DATA",
    "SCHEMES",
    "Buffer",
    "ControlInbox",
    "Controls",
    "Inbox",
    "InprocTransport",
    "Outlet",
    "Publisher",
    "Receiver",
    "Transport",
    "Trust",
    "open_transport",
]
