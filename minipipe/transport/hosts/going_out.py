"""By which address of this machine connections to a run go out."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import replace

from minipipe.errors import UsageError
from minipipe.protocol.hosts.token import Token


def from_source(token: Token, address: str) -> Token:
    """The same token, whose run is gone to from this address.

    Raises:
        UsageError: this machine has no such address.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise UsageError(f"--interface {address}: that is no IP address") from None
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((str(ip), 0))
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"--interface {address}: no address of this machine ({why})") from None
    endpoints = tuple(one._replace(source=str(ip)) for one in token.endpoints)
    return replace(token, endpoints=endpoints)
