"""Runs over several hosts, all of which are this machine: `minipipe agent` as a user starts it."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.protocol.hosts.token import parse_token
from tests.conftest import DEADLOCK_S, run_directories, wait_until
from tests.hosts.agents import Agents, gateways


@contextmanager
def running(pline: mp.PipeLine, **options: Any) -> Iterator[tuple[str, Agents]]:
    """Runs it; afterwards nothing is left of it, on any host.  The token of the run."""
    with Agents() as agents:
        pline.run(bind="tcp://127.0.0.1:0", ship=False, **options)
        try:
            assert pline.token is not None
            yield pline.token, agents
        finally:
            pline.stop()


class Counts:
    """Counts up; its state is where it runs."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def run(self) -> Iterator[int]:
        yield from range(self.limit)

    def local_term(self) -> int:
        return os.getppid()  # the zygote: which one says on which host it is


class CountsUntil:
    """Counts up until there is a file."""

    def __init__(self, stop: Path) -> None:
        self.stop = stop

    def run(self) -> Iterator[int]:
        yield from itertools.takewhile(lambda _: not self.stop.exists(), itertools.count())


class Notes:
    """Says what it gets, and keeps it."""

    def local_init(self) -> None:
        self.got: list[int] = []

    def run(self, item: int) -> None:
        if not self.got:
            print(f"printed at {item}")
            logging.getLogger("of.a.user").warning("logged at %d", item)
        self.got.append(item)

    def local_term(self) -> tuple[int, int, list[int]]:
        return os.getpid(), os.getppid(), self.got


def double(item: int) -> int:
    return 2 * item


def slowly(item: int) -> tuple[int, int, int]:
    time.sleep(0.005)
    return item, os.getpid(), os.getppid()


def in_pairs() -> Any:
    """A Regulator: the sum of an item and the next one."""
    first = yield
    second = yield
    yield first + second


def test_what_workers_do_elsewhere_is_seen_here(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    pline = mp.PipeLine(
        [
            mp.Source(Counts(100), "source", on="far"),
            mp.Transform(double, "double", n_processes=2, ordered=True, on={"far": 1, "local": 1}),
            mp.Regulator(in_pairs, "pairs", on="far"),
            mp.Broadcast(
                [
                    [mp.Sink(Notes(), "there", on="far")],
                    [mp.Sink(Notes(), "here")],
                    [mp.Transform(double, on="far"), mp.Sink(Notes(), "twice", on="far")],
                ]
            ),
        ]
    )
    with running(pline) as (token, agents):
        agent = agents.join(token, "--slots", "8")
        results = pline.close(60)
        agent.ends(0)
        agents.are_gone()
    pairs = [2 * (i + i + 1) for i in range(0, 100, 2)]
    assert results["there"][2] == results["here"][2] == pairs
    assert results["twice"][2] == [2 * pair for pair in pairs]
    zygote = results["source"]
    assert zygote == results["there"][1] == results["twice"][1] != results["here"][1]
    printed = capsys.readouterr().out
    logged = Counter(record.getMessage() for record in caplog.records)
    for first, times in ((pairs[0], 2), (2 * pairs[0], 1)):
        assert printed.count(f"printed at {first}\n") == logged[f"logged at {first}"] == times


def picky(item: int) -> int:
    if item == 7:
        raise ValueError(f"I do not like {item}")
    return item


BROKEN = """
from minipipe.agent.agent import Agent

def broken(*_):
    raise RuntimeError("broken")

Agent._show = Agent._end = broken
"""


def test_an_exception_there_names_its_item_and_an_agent_that_fails_is_not_waited_for() -> None:
    pline = mp.PipeLine([mp.Source(Counts(100)), mp.Transform(picky, "picky", on="far")])
    with running(pline, lost_after_s=300.0) as (token, agents):
        assert "RuntimeError: broken" in agents.join(token, "--slots", "1", first=BROKEN).ends(1)
        agents.join(token)
        with pytest.raises(ValueError, match="I do not like 7") as caught:
            list(pline)
    notes = "\n".join(caught.value.__notes__)
    assert "of segment 'picky' (worker picky" in notes and "at item 7" in notes


def test_workers_and_agents_that_are_killed_or_leave_lose_nothing_and_repeat_nothing(
    tmp_path: Path,
) -> None:
    work = mp.Transform(slowly, "work", n_processes=3, on="far", max_restarts=100)
    pline = mp.PipeLine([mp.Source(CountsUntil(tmp_path / "stop"), "source"), work])
    # So long that silence tells nothing: who was killed is known to be by a word of its guard.
    with running(pline, lost_after_s=300.0) as (token, agents):
        first = agents.join(token, "--slots", "3", name="far")
        items: list[int] = []
        taken = iter(pline)
        zygotes: list[int] = []

        def take_until_there_is(another: str) -> int:
            until_s = time.monotonic() + DEADLOCK_S
            for item, pid, zygote in taken:
                items.append(item)
                if zygote not in zygotes:
                    zygotes.append(zygote)
                    return pid
                assert time.monotonic() < until_s, f"nobody has taken the place of {another}"
            raise AssertionError(f"the run was over before somebody took the place of {another}")

        os.kill(take_until_there_is("nobody"), signal.SIGKILL)
        second = agents.join(token, "--slots", "3", "--tags", "far", name="second")
        first.signal(signal.SIGKILL)
        take_until_there_is("an agent that was killed")
        third = agents.join(token, "--slots", "3", "--tags", "far", name="third")
        third.says("has joined")
        second.signal(signal.SIGTERM)
        take_until_there_is("an agent that has left")
        (tmp_path / "stop").touch()
        items += [item for item, _, _ in taken]
        assert "SIGTERM" in second.ends(0)
        assert sorted(items) == list(range(len(items)))
        third.ends(0)
        agents.are_gone()


SCRIPT = """
import time
import minipipe as mp

def make():
    n = 0
    while True:
        yield n
        n += 1

def work(item):
    time.sleep(0.001)
    return item

pline = mp.PipeLine([mp.Source(make), mp.Transform(work, "work", n_processes=2, on="far")])
pline.run(bind="tcp://127.0.0.1:0", token_file="token")
for item in pline:
    if item == 20:
        print("it runs", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_of_a_supervisor_that_was_killed_nothing_is_left(
    number: signal.Signals, tmp_path: Path
) -> None:
    before = run_directories()
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        with Agents() as agents:
            token = tmp_path / "token"
            wait_until(lambda: token.exists() and token.read_text().strip(), "the token")
            agent = agents.join(token.read_text().strip())
            assert process.stdout is not None
            assert process.stdout.readline() == "it runs\n"
            process.send_signal(number)
            process.wait(DEADLOCK_S)
            agent.ends(1 if number == signal.SIGKILL else 0)
            agents.are_gone()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    wait_until(lambda: run_directories() <= before, "all directories to be gone")


def test_who_may_not_join_is_told_why_and_who_joins_leaves_nothing() -> None:
    pline = mp.PipeLine([mp.Source(Counts(10)), mp.Transform(slowly, "work", on={"far": 1})])
    with running(pline) as (token, agents):
        cut = agents.join(token[:-9])
        old = agents.join(token, first="import minipipe.version as v; v.__version__ = '0.1.0'")
        assert "token" in cut.ends(2)
        port = parse_token(token).endpoints[0].port
        with pytest.raises(
            mp.StartError, match=r"the port is in use by another program \(port 0 is any"
        ):
            mp.PipeLine([mp.Source(Counts(3))]).run(bind=f"tcp://127.0.0.1:{port}")
        said = old.ends(1)
        assert "0.1.0" in said and mp.__version__ in said
        for text in (cut.log, old.log):
            assert token not in text and token[:-9] not in text and "Traceback" not in text
        known = run_directories()
        idle = agents.join(token, name="idle")  # and no zygote yet that would clear up behind it
        idle.says("has joined")
        idle.signal(signal.SIGKILL)
        wait_until(lambda: not agents.left(), "all of an agent to be gone")
        assert run_directories() == known
        one = agents.join(token, "--slots", "1")
        one.says("host 'far' has joined")
        other = agents.join(token, "--slots", "1")
        other.says("host 'far-2' has joined")
        assert sorted(item for item, _, _ in pline) == list(range(10))
        assert one.ends(0) and other.ends(0)
        agents.are_gone()


def test_a_gateway_that_was_killed_ends_a_run_that_needs_other_hosts() -> None:
    work = mp.Transform(slowly, "work", on="far", max_restarts=9)
    pline = mp.PipeLine([mp.Source(Counts(10_000)), work])
    with running(pline) as (token, agents):
        agent = agents.join(token)
        with pytest.raises(mp.StartError, match="that all other machines are connected to"):
            for item, _, _ in pline:
                if item == 20:
                    os.kill(gateways()[0], signal.SIGKILL)
        agent.signal(signal.SIGTERM)  # it would wait for the run, as long as it may be silent
        agent.ends(0)


def test_a_gateway_that_was_killed_ends_a_run_that_waits_for_hosts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = mp.Transform(slowly, "work", on="far", n_processes=2)
    pline = mp.PipeLine([mp.Source(Counts(10)), work])
    with running(pline):
        os.kill(gateways()[0], signal.SIGKILL)
        with pytest.raises(mp.StartError, match="that all other machines are connected to"):
            list(pline)
    assert "KeyError" not in caplog.text
