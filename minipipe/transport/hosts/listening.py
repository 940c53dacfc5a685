"""Where other agents of a run come to one of them, if it lets them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from minipipe.errors import UsageError
from minipipe.process.addresses import own_addresses, own_towards
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.transport.curve import NO_KEY, CurveKeys
from minipipe.transport.hosts.host_sockets import HostSockets


@dataclass(frozen=True)
class Listening:
    """What it has for that.

    Attributes:
        keys: by which others know it; the run knows it by others.
        endpoints: that they may go to.
        source: the IP address that it goes to them from; "": whichever fits.
        is_plain: nothing is encrypted.
    """

    keys: CurveKeys
    endpoints: tuple[Endpoint, ...]
    source: str = ""
    is_plain: bool = False

    def from_here(self, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """The same places, gone to from this machine: those that it can go to.

        An address that this machine has, too (of loopback, of a bridge for containers), is not
        where the other one is, unless all of them are.

        Raises:
            ValueError: it can go to none of them.
        """
        found = [endpoint._replace(source=self.source) for endpoint in endpoints]
        found = [endpoint for endpoint in found if not endpoint.why_not]
        if not found:
            raise ValueError("none of its addresses is one that this machine goes to")
        own = {"127.0.0.1", "::1", *own_addresses(ipv6=True)}
        return [endpoint for endpoint in found if endpoint.host not in own] or found

    def server_key(self, key: str) -> str:
        """What one who is known by this key is gone to by."""
        return NO_KEY if self.is_plain else key


def listen(sockets: HostSockets, run: Endpoint, port: int, *, is_plain: bool = False) -> Listening:
    """Lets other agents come, each once it is admitted.

    Args:
        run: where this machine has reached the run; from one of its addresses, if that was wished.
        port: that they come to; 0: any that is free.

    Raises:
        TransportError: it is taken.
    """
    keys = CurveKeys.new()
    is_ipv6 = ":" in run.host
    anywhere = "[::]" if is_ipv6 else "0.0.0.0"
    source = f"[{run.source}]" if ":" in run.source else run.source
    port = sockets.listen(f"tcp://{source or anywhere}:{port}", keys=keys)
    if run.source:
        hosts = [run.source]
    else:
        # That of loopback only for a run on this machine, where others may be, too.
        others = [one for one in own_addresses(ipv6=is_ipv6) if not _is_loopback(one)]
        hosts = list(dict.fromkeys([own_towards(run.host), *others]))
    endpoints = tuple(Endpoint(host, port) for host in hosts if host)
    return Listening(keys, endpoints, run.source, is_plain)


def check_port(port: int, source: str = "") -> None:
    """Before a run is joined.

    Raises:
        UsageError: somebody has this port, or it needs rights that this process does not have.
    """
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((source, port))
        except OSError as error:
            why = error.strerror or error
            raise UsageError(f"--port {port} cannot be had: {why} (0: any that is free)") from None


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
