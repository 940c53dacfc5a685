"""A worker's one connection to all other hosts: to its gateway, with the route before each message.

So what it sends there has one order, whoever it is for: what a broadcast sends to the workers of a
host and what goes to one of them alone do not overtake each other, as they may on one machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from minipipe.protocol.delivery.membership import Membership, Peer
from minipipe.stream.routes import write_route
from minipipe.transport import Buffer, Outlet, Transport


class Routed:
    """What a link to workers of another host sends through."""

    def __init__(self, gateway: Outlet, route: bytes) -> None:
        self._gateway = gateway
        self._route = route

    def send(self, message: Sequence[Buffer]) -> None:
        self._gateway.send([self._route, *message])

    def close(self) -> None:
        """The connection is there for all others, too."""


class Uplink:
    """Who of the peers is reached through the gateway, and how.

    Args:
        membership: says which host each of them is on, and this worker.
        gateway: the address of its inbox; nothing: there is none, and each peer is connected to.
    """

    def __init__(self, membership: Membership, transport: Transport, gateway: str) -> None:
        self._here = membership.host
        self._transport = transport
        # At once: later its directory may be gone, and the run goes on.
        self._gateway = transport.connect(gateway) if gateway else None

    def leads_to(self, host: str) -> bool:
        """Whether workers of this host are reached through the gateway."""
        return self._gateway is not None and host != self._here

    def to(self, host: str, idents: Sequence[int]) -> Routed:
        """What a link to these workers of another host sends through."""
        assert self._gateway is not None
        return Routed(self._gateway, write_route(host, idents))

    def to_gateway(self) -> Routed:
        """What a link to the gateway itself sends through: without a route, it goes no further."""
        assert self._gateway is not None
        return Routed(self._gateway, b"")

    def connect(self, peer: Peer) -> Outlet:
        """What a link to this peer sends through."""
        if self.leads_to(peer.host):
            return self.to(peer.host, (peer.id,))
        return self._transport.connect(peer.address)
