"""Where a host can be reached: a name or an IP address, and a port."""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

MAX_NAME_BYTES = 253  # of DNS
MAX_ENDPOINTS = 16  # of an agent
MAX_ENDPOINTS_TEXT = 64 * MAX_ENDPOINTS
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_PORT = struct.Struct("!H")
_IPV4, _IPV6, _BY_NAME = 4, 6, 0


class Endpoint(NamedTuple):
    """A place to connect to.

    Attributes:
        host: a name, or an IP address without brackets.
        port: of TCP.
        source: the IP address of this host that it is gone to from; "": whichever fits.
    """

    host: str
    port: int
    source: str = ""

    @property
    def address(self) -> str:
        """As users write it."""
        return f"tcp://{_bracketed(self.host)}:{self.port}"

    @property
    def connected(self) -> str:
        """As ZeroMQ takes it."""
        if not self.source:
            return self.address
        return f"tcp://{_bracketed(self.source)}:0;{_bracketed(self.host)}:{self.port}"

    @property
    def why_not(self) -> str:
        """Why its IP address cannot be reached from the source; "": it may be."""
        if self.source and (":" in self.source) != (":" in self.host):
            return f"{self.source} is of another version of IP"
        return ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def check_endpoint(endpoint: Endpoint) -> Endpoint:
    """The same with its IP address as it is usually written.

    Raises:
        ValueError: nobody elsewhere can connect there; says why.
    """
    host, port, source = endpoint
    if not 0 < port < 65_536:
        raise ValueError(f"the port is a number from 1 to 65535, not {port}")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(host) or len(host) > MAX_NAME_BYTES:
            raise ValueError(f"{host!r} is neither an IP address nor the name of a host") from None
        if re.fullmatch(r"[\d.]+", host):
            raise ValueError(
                f"{host!r} is no IPv4 address: that is four numbers below 256"
            ) from None
        return endpoint
    if ip.is_unspecified:
        raise ValueError(f"{host} is a place to bind to; to connect, a host is named")
    if ip.is_multicast:
        raise ValueError(f"{host} is an address of many hosts (multicast)")
    if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id is not None:
        raise ValueError(f"{host} names a network card, which is called otherwise elsewhere")
    return Endpoint(str(ip), port, source)


def parse_endpoint(text: str) -> Endpoint:
    """What a user calls `HOST:PORT`, or `tcp://HOST:PORT`; an IPv6 address stands in brackets.

    Raises:
        ValueError: nobody can connect there; says why.
    """
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()):
        raise ValueError("it is written HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:7711")
    return check_endpoint(Endpoint(host, int(port)))


def write_endpoints(endpoints: Sequence[Endpoint]) -> str:
    """Some places in one text, as `read_endpoints` reads it."""
    return " ".join(endpoint.address for endpoint in endpoints[:MAX_ENDPOINTS])


def read_endpoints(text: str) -> list[Endpoint]:
    """Places that another host has named: IP addresses, as the network is asked for no names.

    Raises:
        ValueError: these are none.
    """
    parts = text[:MAX_ENDPOINTS_TEXT].split(" ")
    if len(text) > MAX_ENDPOINTS_TEXT or len(parts) > MAX_ENDPOINTS:
        raise ValueError(f"a host has more than {MAX_ENDPOINTS} addresses")
    found = [parse_endpoint(part) for part in parts]
    for endpoint in found:
        ipaddress.ip_address(endpoint.host)
    return found


def pack_endpoint(endpoint: Endpoint) -> bytes:
    """Its bytes in a token."""
    try:
        ip = ipaddress.ip_address(endpoint.host)
    except ValueError:
        name = endpoint.host.encode("ascii")
        return bytes((_BY_NAME, len(name))) + name + _PORT.pack(endpoint.port)
    return bytes((ip.version,)) + ip.packed + _PORT.pack(endpoint.port)


def unpack_endpoint(content: bytes, at: int) -> tuple[Endpoint, int]:
    """The endpoint that begins there, and where what follows begins.

    Raises:
        ValueError: these are not the bytes of one.
    """

    def take(size: int) -> bytes:
        nonlocal at
        part, at = content[at : at + size], at + size
        if len(part) != size:
            raise ValueError("an address ends too early")
        return part

    (kind,) = take(1)
    if kind == _BY_NAME:
        host = take(take(1)[0]).decode("ascii")
    elif kind == _IPV4:
        host = str(ipaddress.IPv4Address(take(4)))
    elif kind == _IPV6:
        host = str(ipaddress.IPv6Address(take(16)))
    else:
        raise ValueError(f"an address is of the unknown kind {kind}")
    return check_endpoint(Endpoint(host, *_PORT.unpack(take(_PORT.size)))), at
