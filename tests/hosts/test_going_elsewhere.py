"""An agent that is told to end leaves in good order: nothing is lost, nothing is done twice."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import minipipe as mp
from minipipe.agent.leaving import ONCE_S
from tests.conftest import DEADLOCK_S, wait_until
from tests.hosts.test_filling_up import agent


class Numbers:
    """Counts until a file is there."""

    def __init__(self, end: Path) -> None:
        self.end = end

    def __iter__(self) -> Iterator[int]:
        return itertools.takewhile(lambda number: not self.end.exists(), itertools.count())


class Work:
    """Writes down what it is called with, in one file for all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def local_init(self) -> None:
        self.fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, item: int) -> int:
        time.sleep(0.005)
        os.write(self.fd, f"{item} ".encode())
        return item


class Train:
    """Keeps state."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def run(self, item: int) -> None:
        self.got.append(item)

    def local_term(self) -> list[int]:
        return self.got


def test_an_agent_leaves_when_its_workers_go_on_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("minipipe.supervisor.placing.usable_cpus", lambda: 4)
    end, path = tmp_path / "end", tmp_path / "called"
    work = mp.Transform(Work(path), "work", n_processes=4, restart=True)
    pline = mp.PipeLine().add(mp.Source(Numbers(end))).add(work)
    pline.run(bind="tcp://127.0.0.1:0", place_timeout_s=DEADLOCK_S)
    assert pline.token is not None
    leaving, is_told = agent(pline.token, "--slots", "2"), False
    items, began_s = [], time.monotonic()
    for item in pline:
        items.append(item)
        if not is_told:
            there = [w for w in pline.stats().segment("work") if w.items_out]
            if is_told := len(there) == 4:
                leaving.send_signal(signal.SIGTERM)
        elif leaving.poll() is not None:
            end.touch()
        assert time.monotonic() - began_s < DEADLOCK_S, "it has not left"
    _, said = leaving.communicate(timeout=DEADLOCK_S)
    assert (leaving.returncode, "SIGTERM" in said) == (0, True), said
    called = [int(number) for number in path.read_text().split()]
    assert sorted(items) == sorted(called) == [*range(len(items))]


def test_what_keeps_state_stays_until_it_is_done_and_the_others_go_on_elsewhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    end = tmp_path / "end"
    work = mp.Transform(Work(tmp_path / "called"), "work", on="b", restart=True)
    pline = mp.PipeLine().add(mp.Source(Numbers(end))).add(work)
    pline.add(mp.Sink(Train(), "train", on="far"))
    with caplog.at_level(logging.INFO, "minipipe"):
        pline.run(bind="tcp://127.0.0.1:0")
        assert pline.token is not None
        agents = [agent(pline.token, "--tags", "far,b", "--slots", "2")]

        def working(count: int) -> bool:
            return sum(w.items_out > 10 for w in pline.stats().segment("work")) == count

        wait_until(lambda: working(1), "the run to be under way")
        agents[0].send_signal(signal.SIGTERM)
        wait_until(lambda: "about to leave" in caplog.text, "the run to hear of it")
        agents.append(agent(pline.token, "--tags", "b"))
        wait_until(lambda: working(2), "the worker to go on elsewhere")
        assert agents[0].poll() is None
        end.touch()
        got = pline.close()["train"]
    for one in agents:
        _, said = one.communicate(timeout=DEADLOCK_S)
        assert one.returncode == 0, said
    assert sorted(got) == [*range(len(got))]
    assert "1 of 'work' is to go on elsewhere; 1 of 'train' is to stay until the end" in caplog.text


def test_a_second_signal_ends_the_wait_for_what_keeps_state(tmp_path: Path) -> None:
    pline = mp.PipeLine().add(mp.Source(Numbers(tmp_path / "end")))
    pline.add(mp.Sink(Train(), "train", on="b"))
    pline.run(bind="tcp://127.0.0.1:0")
    assert pline.token is not None
    leaving = agent(pline.token, "--tags", "b")
    wait_until(lambda: pline.stats().segment("train")[0].items_in > 10, "the run to be under way")
    leaving.send_signal(signal.SIGTERM)
    said: list[str] = []
    assert leaving.stderr is not None
    while "once more" not in (said or [""])[-1]:
        said.append(leaving.stderr.readline())
        assert said[-1], said
    assert said[-1].startswith("minipipe: SIGTERM: it leaves when ")
    at_s = time.monotonic() + 2 * ONCE_S
    wait_until(lambda: time.monotonic() > at_s, "a second signal to be one of its own")
    leaving.send_signal(signal.SIGTERM)
    with pytest.raises(mp.WorkerDiedError, match="it has left"):
        pline.close()
    leaving.communicate(timeout=DEADLOCK_S)
    assert leaving.returncode == 0
