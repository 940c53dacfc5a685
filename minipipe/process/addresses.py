"""The IP addresses of this machine, which others may reach it by."""

from __future__ import annotations

import ipaddress
import socket
import struct

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SIOCGIFADDR = 0x8915
_GLOBAL_SCOPE = "00"


def own_addresses(*, ipv6: bool = False) -> list[str]:
    """The addresses of all network cards, the one of the default route first; loopback last.

    Args:
        ipv6: those of IPv6, too.
    """
    found = [own_towards("192.0.2.1"), *_of_cards()]
    if ipv6:
        found += [own_towards("2001:db8::1"), *_of_cards_ipv6()]
    known = [address for address in dict.fromkeys(found) if address]
    return sorted(known, key=lambda address: ipaddress.ip_address(address).is_loopback)


def own_towards(address: str) -> str:
    """From where this machine would go to that IP address, "": not at all; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def _of_cards() -> list[str]:
    if fcntl is None:
        return []
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            wanted = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, wanted)
            except OSError:
                continue  # it has none, or this is no Linux
            found.append(socket.inet_ntoa(answer[20:24]))
    return found


def _of_cards_ipv6() -> list[str]:
    try:
        with open("/proc/net/if_inet6") as file:
            lines = [line.split() for line in file]
    except OSError:
        return []
    return [
        str(ipaddress.IPv6Address(bytes.fromhex(line[0])))
        for line in lines
        if len(line) == 6 and line[3] == _GLOBAL_SCOPE
    ]
