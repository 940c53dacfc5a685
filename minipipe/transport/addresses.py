"""Addresses that users give, checked where they are written: `tcp://HOST:PORT`, `ipc://PATH`."""

from __future__ import annotations

import ipaddress
import os
from typing import NamedTuple

from minipipe.errors import OptionError, did_you_mean

SCHEMES = ("tcp", "ipc")
MAX_IPC_PATH_BYTES = 107
_WILDCARDS = ("*", "0.0.0.0", "::")


class Address(NamedTuple):
    """Where a socket is bound or connected.

    Attributes:
        text: as ZeroMQ takes it.
        path: of its file, if it has one ("ipc", but for Linux's abstract names).
        host: of tcp, without brackets.
    """

    text: str
    scheme: str
    path: str | None = None
    host: str = ""

    @property
    def is_local(self) -> bool:
        """Whether nobody outside of this machine can reach it."""
        if self.scheme == "ipc" or self.host in ("localhost", "lo"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False  # a name, or a network card

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host


def parse_address(address: object, where: str, *, bind: bool) -> Address:
    """The address, taken apart.

    Raises:
        OptionError: it is none, or none to bind to (or to connect to).
    """
    says = f"address of {where} is 'tcp://HOST:PORT' or 'ipc://PATH', got {address!r}"
    if not isinstance(address, str):
        raise OptionError(says)
    scheme, separator, place = address.partition("://")
    if not separator or "\0" in address:
        raise OptionError(says)
    if scheme == "inproc":
        raise OptionError(f"{says}: inproc does not leave a process, and other programs are others")
    if scheme not in SCHEMES:
        raise OptionError(f"{says}: unknown transport {scheme!r}{did_you_mean(scheme, SCHEMES)}")
    return _ipc(place, says) if scheme == "ipc" else _tcp(place, says, bind=bind)


def _ipc(place: str, says: str) -> Address:
    if not place or place in ("*", "@"):
        raise OptionError(f"{says}: nobody else would know the path")
    if place.startswith("@"):
        return Address(f"ipc://{place}", "ipc")
    path = os.path.abspath(place)  # a functor may change its directory
    size_bytes = len(os.fsencode(path))
    if size_bytes > MAX_IPC_PATH_BYTES:
        raise OptionError(
            f"{says}: the path has {size_bytes} bytes, more than {MAX_IPC_PATH_BYTES}"
        )
    return Address(f"ipc://{path}", "ipc", path)


def _tcp(place: str, says: str, *, bind: bool) -> Address:
    host, separator, port = place.rpartition(":")
    if not separator or not host or ";" in place or "/" in place:
        raise OptionError(says)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise OptionError(f"{says}: the port is a number from 1 to 65535")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in bare and bare == host:
        raise OptionError(f"{says}: an IPv6 address stands in brackets, as in 'tcp://[::1]:5555'")
    if bare in _WILDCARDS and not bind:
        raise OptionError(
            f"{says}: {bare} is a place to bind to; to connect, name the host (or bind=True)"
        )
    return Address(f"tcp://{place}", "tcp", None, bare)
