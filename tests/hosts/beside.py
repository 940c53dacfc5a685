"""Agents that reach each other through proxies, and the run through others."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.hosts.agents import Agents, port_of
from tests.hosts.proxy import Proxy

# What an agent runs beforehand: others are told to come to the proxy, and that hears where to go.
_OFFERS = """
import minipipe.agent.main
from dataclasses import replace
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.transport.hosts.listening import listen

def through(*arguments, **options):
    found = listen(*arguments, **options)
    with open({file!r}, "w") as file:
        file.write(str(found.endpoints[0].port))
    return replace(found, endpoints=(Endpoint("127.0.0.1", {port}),))

minipipe.agent.main.listen = through
"""


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
        file = Path(last.enter_context(TemporaryDirectory())) / "port"
        to_others = Proxy(lambda: int(file.read_text()))
        self.to_run, self.to_others = self.proxies = Proxy(port_of(token)), to_others
        for proxy in self.proxies:
            proxy.delay_s, proxy.bytes_per_s = delay_s, bytes_per_s
            last.callback(proxy.close)
        self.agent = agents.join(
            *(token, *more),
            port=self.to_run.port,
            name=name,
            first=_OFFERS.format(port=self.to_others.port, file=str(file)),
        )
