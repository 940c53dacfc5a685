"""Two agents that have something for each other have a link of their own, if they can."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from tests.conftest import wait_until
from tests.hosts.agents import Agents
from tests.hosts.beside import Beside

LENGTH = 20_000
WITHOUT_LINK = "goes by the run's machine, without a link"


class Arrays:
    """Arrays, until there is a file; not more than so many a second."""

    def __init__(self, stop: Path, pause_s: float) -> None:
        self.stop, self.pause_s = stop, pause_s

    def run(self) -> Iterator[Any]:
        number = 0
        while not self.stop.exists():
            yield np.full(LENGTH, float(number))
            number += 1
            time.sleep(self.pause_s)
        yield np.full(1, -float(number))


class Counts:
    """Checks that it gets each once, in their order, and writes down how many came."""

    def __init__(self, told: Path) -> None:
        self.told = told

    def local_init(self) -> None:
        self.count = self.last = 0

    def run(self, item: Any) -> None:
        if item[0] < 0:
            self.last = -int(item[0])
            return
        assert (item == self.count).all(), f"{item[0]} is not {self.count}"
        self.count += 1
        self.told.write_text(str(self.count))

    def local_term(self) -> tuple[int, int]:
        return self.count, self.last


@dataclass
class Two:
    """A run from an agent to another one; `elder` has joined first, so others go to it."""

    elder: Beside
    younger: Beside
    agents: Agents
    told: Path
    stop: Path

    @property
    def count(self) -> int:
        try:
            return int(self.told.read_text() or 0)
        except FileNotFoundError:
            return 0

    def more(self, count: int = 20) -> None:
        """Waits until so many more have come."""
        at_least = self.count + count
        wait_until(lambda: self.count >= at_least, f"{count} more items after {self.count}")

    @property
    def relayed(self) -> int:
        """The bytes that have gone between the agents and the run."""
        return self.elder.to_run.bytes + self.younger.to_run.bytes


@contextmanager
def two(
    place: Path,
    *options: str,
    lost_after_s: float = 15.0,
    pause_s: float = 0.002,
    reach: Sequence[str] = ("elder", "younger"),
    **run: Any,
) -> Iterator[Two]:
    """Has it run; afterwards all has come, once and in order, and nothing is left.

    Args:
        reach: those whom the other one reaches.
    """
    stop, told = place / "stop", place / "told"
    source = mp.Source(Arrays(stop, pause_s), "source", on="younger")
    pline = mp.PipeLine([source, mp.Sink(Counts(told), "sink", on="elder")])
    with Agents() as agents, ExitStack() as last:
        pline.run(bind="tcp://127.0.0.1:0", ship=False, lost_after_s=lost_after_s, **run)
        assert pline.token is not None
        elder = Beside(agents, last, pline.token, "elder", *options)
        elder.to_others.stalls = "elder" not in reach
        elder.agent.says("has joined")
        younger = Beside(agents, last, pline.token, "younger", *options)
        younger.to_others.stalls = "younger" not in reach
        here = Two(elder, younger, agents, told, stop)
        try:
            here.more()
            yield here
            stop.touch()
            count, sent = pline.close(60)["sink"]
            assert count == sent >= here.count
        finally:
            pline.stop()
        for agent in agents.all:
            agent.ends(0)


@pytest.mark.parametrize("security", ["curve", "none"])
def test_what_agents_have_for_each_other_does_not_go_by_the_run(
    tmp_path: Path, security: str, caplog: pytest.LogCaptureFixture
) -> None:
    with two(tmp_path, security=security) as here:
        before = here.relayed
        here.more(50)
        assert here.relayed - before < 5 * 8 * LENGTH
        assert here.elder.to_others.bytes > 50 * 8 * LENGTH
    assert WITHOUT_LINK not in caplog.text


def test_who_lets_nobody_come_has_it_by_the_run(tmp_path: Path) -> None:
    with two(tmp_path, "--port", "none") as here:
        before = here.relayed
        here.more(50)
        assert here.relayed - before > 2 * 40 * 8 * LENGTH


def test_who_does_not_reach_the_other_has_it_by_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with two(tmp_path, lost_after_s=2.0, reach=()) as here:
        wait_until(lambda: WITHOUT_LINK in caplog.text, "the link to be given up")
        here.more()
        assert not here.elder.to_others.bytes and not here.younger.to_others.bytes


def test_if_the_elder_cannot_be_reached_it_goes_to_the_younger_one(tmp_path: Path) -> None:
    with two(tmp_path, lost_after_s=2.0, reach=["younger"]) as here:
        direct = here.younger.to_others
        wait_until(lambda: direct.bytes > 20 * 8 * LENGTH, "a link the other way")
        before = here.relayed
        here.more(50)
        assert here.relayed - before < 5 * 8 * LENGTH and not here.elder.to_others.bytes


def test_a_link_that_is_lost_for_good_loses_nothing_and_no_host(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with two(tmp_path, lost_after_s=3.0) as here:
        here.elder.to_others.stalls = True
        wait_until(lambda: WITHOUT_LINK in caplog.text, "the link to be given up")
        here.more()
    assert "'elder' is lost" not in caplog.text and "'younger' is lost" not in caplog.text


def test_a_link_that_is_out_for_a_while_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with two(tmp_path, lost_after_s=7.5) as here:
        connections = here.elder.to_others.connections
        here.elder.to_others.stalls = True
        time.sleep(2.0)  # longer than a connection may be silent: 1.5 s
        here.elder.to_others.stalls = False
        before = here.relayed
        here.more(50)
        assert here.relayed - before < 5 * 8 * LENGTH
        assert here.elder.to_others.connections > connections
    assert WITHOUT_LINK not in caplog.text


def test_a_link_that_breaks_again_and_again_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with two(tmp_path, pause_s=0.0) as here:
        for after_bytes in (1, 300, 20_000, 200_000, 2_000_000, 40):
            here.elder.to_others.cut(after_bytes)
            here.more(20)
        assert here.elder.to_others.resets == 6
    assert WITHOUT_LINK not in caplog.text
