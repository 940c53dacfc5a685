"""The verdict on real runs: with a known bottleneck, and none."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from tests.conftest import DEADLOCK_S
from tests.hosts.agents import Agents, port_of
from tests.hosts.proxy import Proxy


def work(item: int) -> int:
    time.sleep(0.02)
    return item


def save(item: int) -> None:
    time.sleep(0.002)


def test_the_slow_segment_is_named_and_how_many_workers_it_needs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pline = mp.PipeLine([mp.Source(range(60)), mp.Transform(work, "work"), mp.Sink(save, "save")])
    with pytest.raises(mp.LifecycleError, match=r"verdict\(\) of a pipeline that is not built"):
        pline.verdict()
    pline.build(log_lvl="SUMMARY").run()
    pline.verdict()  # at any time
    pline.close()
    found = pline.verdict()
    assert found is not None  # also if others keep the machine busy: it hardly needs a core
    assert found.bottleneck == "work" and found.workers is not None and found.workers >= 2
    assert str(found) in caplog.messages


def test_what_costs_cpu_time_is_counted_to_the_end_of_the_process() -> None:
    def burn(item: int) -> int:
        until_s = time.process_time() + 0.02
        while time.process_time() < until_s:
            pass
        return item

    pline = mp.PipeLine([mp.Source(range(30)), mp.Transform(burn, "burn"), mp.Sink(save, "save")])
    pline.run()
    pline.close()
    burnt = pline.stats()["burn"]
    assert 0.6 <= burnt.cpu_s <= 30 * burnt.busy_s
    if Path("/proc/self/schedstat").exists():
        assert burnt.core_wait_s > 0.0  # also after its end; nobody gets a core at once always


def test_a_loop_that_takes_long_is_the_bottleneck(caplog: pytest.LogCaptureFixture) -> None:
    pline: Any = mp.PipeLine([mp.Source(range(40)), mp.Transform(abs, "abs")])
    for _ in pline:
        time.sleep(0.02)
    found = pline.verdict()
    assert found is not None
    assert found.bottleneck == "(caller)" and "in the loop" in str(found)


def test_inline_nothing_is_said() -> None:
    pline = mp.PipeLine([mp.Source(range(40)), mp.Transform(work, "work"), mp.Sink(save, "save")])
    pline.build(inline=True).run()
    pline.close()
    assert pline.verdict() is None


def test_a_slow_link_is_named_and_more_workers_are_not_asked_for() -> None:
    pline = mp.PipeLine([mp.Source(bytes(40_000) for _ in range(40)), mp.Transform(len, on="far")])
    with Agents() as agents:
        pline.run(bind="tcp://127.0.0.1:0", place_timeout_s=DEADLOCK_S)
        assert pline.token is not None
        proxy = Proxy(port_of(pline.token))
        proxy.bytes_per_s = 400_000.0
        try:
            agents.join(pline.token, port=proxy.port)
            assert list(pline) == [40_000] * 40
            found, (link,) = pline.verdict(), pline.stats().links
            pline.close(DEADLOCK_S)
            agents.are_gone()
        finally:
            proxy.close()
    assert found is not None and found.workers is None
    assert str(found).startswith("bottleneck: the link to host 'far' (it carries 0.")
    assert link.to_bytes >= 40 * 40_000 and link.to_share > 0.7
