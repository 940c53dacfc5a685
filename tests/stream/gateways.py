"""Gateways of several hosts in one process, which have a transport each and no other connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.stream.outbox import inbox_name
from minipipe.stream.routes import read_route
from minipipe.transport import Buffer, Outlet, Trust, open_transport
from tests.stream.crossing import Crossing


class Crossed(NamedTuple):
    """A message that went from one host to another."""

    origin: str
    host: str
    workers: tuple[int, ...]
    message: list[Buffer]
    size_bytes: int  # of what went over the link


class Gateways:
    """All of them, moved by the test.

    Args:
        bases: of the transport of each host.
        trust: of all inboxes.
        limit_bytes: what the slots of each may come to.

    Attributes:
        crossed: all messages that have gone from one host to another, in order.
        slots: what each of them does with slots.
    """

    def __init__(
        self,
        bases: Mapping[str, str],
        trust: Trust | None = None,
        limit_bytes: int | None = None,
    ) -> None:
        self.slots = {host: Crossing(limit_bytes) for host in bases}
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
                if not len(message[0]):
                    self.slots[origin].lifting.landed(message[1])
                    continue
                host, workers = read_route(message[0])
                assert host != origin  # a worker of the same host can be reached without us
                lowered = self.slots[origin].lowering.lower(message[1:])
                arrived = self.slots[host].arrived(lowered)
                rest = self.slots[host].lifting.lift(arrived, workers)
                size_bytes = sum(map(len, lowered))
                head = [bytes(rest[0])]  # a frame would hold its slot
                self.crossed.append(Crossed(origin, host, workers, head, size_bytes))
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
        for slots in self.slots.values():
            slots.close()
