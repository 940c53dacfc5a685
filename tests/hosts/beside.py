"""Agents that reach each other through proxies, and the run through others."""

from __future__ import annotations

import math
import socket
from contextlib import ExitStack

from tests.hosts.agents import Agents, port_of
from tests.hosts.proxy import Proxy

# What an agent runs beforehand: others are told to come to the proxy.
_OFFERS = """
import minipipe.agent.main
from dataclasses import replace
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.transport.hosts.listening import listen

def through(*arguments, **options):
    place = Endpoint("127.0.0.1", {port})
    return replace(listen(*arguments, **options), endpoints=(place,))

minipipe.agent.main.listen = through
"""


def free_port() -> int:
    """A port of this machine that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Beside:
    """An agent.

    Attributes:
        agent: its process.
        to_run: the proxy between it and the run.
        proxies: both of these.
        to_others: the proxy that other agents come by, if it is they who come.
    """

    def __init__(
        self,
        agents: Agents,
        last: ExitStack,
        token: str,
        name: str,
        *more: str,
        delay_s: float = 0.0,
        bytes_per_s: float = math.inf,
    ) -> None:
        port = free_port()
        self.to_run, self.to_others = self.proxies = Proxy(port_of(token)), Proxy(port)
        for proxy in self.proxies:
            proxy.delay_s, proxy.bytes_per_s = delay_s, bytes_per_s
            last.callback(proxy.close)
        self.agent = agents.join(
            *(token, "--port", str(port), *more),
            port=self.to_run.port,
            name=name,
            first=_OFFERS.format(port=self.to_others.port),
        )
