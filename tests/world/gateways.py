"""Hosts of the simulated network: between two of them messages go by way of their gateways."""

from __future__ import annotations

from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.stream.outbox import inbox_name
from minipipe.stream.routes import read_route
from tests.world.net import Links, Message, address_of


def gateway_address(host: str) -> str:
    """Where the inbox of a host's gateway is."""
    return address_of(f"gateway-{host}", "g")


def inbox_address(worker: int) -> str:
    """Where the inbox of a worker is, or the supervisor's."""
    if worker == SUPERVISOR:
        return address_of("supervisor", "s")
    return address_of(f"w{worker}", inbox_name(worker))


class SimGateway:
    """The gateway of one host: it has one link to each other gateway, and to each inbox here.

    Attributes:
        crossed: how many messages came from other hosts.
        received_by: how many workers of this host these were for, all together.
    """

    def __init__(self, links: Links, host: str) -> None:
        self.crossed = self.received_by = 0
        self._links = links
        self._host = host
        self._name = f"gateway-{host}"
        links.inboxes[gateway_address(host)] = self

    @property
    def queue(self) -> SimGateway:
        """What messages are put into: it passes them on at once."""
        return self

    def append(self, message: Message) -> None:
        """A message has arrived, from a worker of this host or from another gateway."""
        host, workers = read_route(message[0])
        if host != self._host:
            there = gateway_address(host)
            deliver = self._links.inboxes[there].queue.append
            self._links.send(self._name, there, deliver, message)
            return
        self.crossed += 1
        self.received_by += len(workers)
        for worker in workers:
            address = inbox_address(worker)
            deliver = self._links.inboxes[address].queue.append
            self._links.send(self._name, address, deliver, message[1:])
