"""A line that is cut as the run ends: its agent does not wait for a run that is over."""

from __future__ import annotations

import time
from typing import Any

import pytest

import minipipe as mp
from minipipe.protocol.flow.link_ways import ACKNOWLEDGE_S
from minipipe.supervisor.hosts.gateway_client import GatewayClient
from tests.hosts.agents import Agents, port_of
from tests.hosts.proxy import Proxy


class Keeps:
    def run(self, item: int) -> int:
        return item


def test_a_line_that_is_cut_before_the_farewell_costs_no_more_than_any_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pline = mp.PipeLine([mp.Source(range(20)), mp.Transform(Keeps(), "keeps", on="far")])
    pline.run(bind="tcp://127.0.0.1:0", ship=False, lost_after_s=2, state_lost_after_s=600)
    assert pline.token is not None
    proxy = Proxy(port_of(pline.token))
    close = GatewayClient.close

    def cut(client: Any) -> None:
        # (What an agent has said and nobody has acknowledged could be lost with it.)
        time.sleep(10 * ACKNOWLEDGE_S)
        proxy.stalls = True
        close(client)

    monkeypatch.setattr(GatewayClient, "close", cut)
    with Agents() as agents:
        try:
            agent = agents.join(pline.token, port=proxy.port)
            assert sorted(pline) == list(range(20))
            said = agent.ends(1)
        finally:
            pline.stop()
            proxy.close()
    assert "is lost: it was silent for 2." in said
