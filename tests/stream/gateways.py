"""Gateways of several hosts in one process, which have a transport each and no other connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.stream.outbox import inbox_name
from minipipe.stream.routes import read_route
from minipipe.transport import Buffer, Outlet, Trust, open_transport


class Crossed(NamedTuple):
    """A message that went from one host to another."""

    origin: str
    host: str
    workers: tuple[int, ...]
    message: list[Buffer]


class Gateways:
    """All of them, moved by the test.

    Args:
        bases: of the transport of each host.
        trust: of all inboxes.

    Attributes:
        crossed: all messages that have gone from one host to another, in order.
    """

    def __init__(self, bases: Mapping[str, str], trust: Trust | None = None) -> None:
        self.transports = {h: open_transport(base, trust=trust) for h, base in bases.items()}
        self.inboxes = {host: each.bind("g") for host, each in self.transports.items()}
        self.crossed: list[Crossed] = []
        self._bases = bases
        self._outlets: dict[tuple[str, int], Outlet] = {}

    def address(self, host: str) -> str:
        """Where the workers of a host send what is for others."""
        return self.inboxes[host].address

    def move(self) -> None:
        """Moves what waits in the gateways."""
        for origin, inbox in self.inboxes.items():
            while (message := inbox.receive()) is not None:
                host, workers = read_route(message[0])
                assert host != origin  # a worker of the same host can be reached without us
                rest = [bytes(part) for part in message[1:]]
                self.crossed.append(Crossed(origin, host, workers, list(rest)))
                for worker in workers:
                    self._outlet(host, worker).send(rest)

    def _outlet(self, host: str, worker: int) -> Outlet:
        outlet = self._outlets.get((host, worker))
        if outlet is None:
            name = "s" if worker == SUPERVISOR else inbox_name(worker)
            there = self.transports[host]
            outlet = self._outlets[host, worker] = there.connect(f"{self._bases[host]}/{name}")
        return outlet

    def close(self) -> None:
        """Closes all that was opened on any host."""
        for transport in self.transports.values():
            transport.close()
