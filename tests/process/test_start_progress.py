"""While starting takes long, the log says how far it is."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import minipipe as mp
from minipipe.protocol.run.lifecycle import Launch, Tick
from minipipe.supervisor import monitor
from tests.conftest import DEADLOCK_S, wait_until


class Waits:
    """Is ready when there is a file."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def local_init(self) -> None:
        while not self.path.exists():
            time.sleep(0.01)

    def __call__(self, x: int) -> None:
        pass


def test_a_start_that_takes_long_is_said_again_and_again_until_it_is_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(monitor, "STARTING_S", 0.1)
    path = tmp_path / "ready"
    pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(abs), mp.Sink(Waits(str(path)))])
    pline.run()
    line = "starting: 2 of 3 workers are ready (3 processes were asked for)"
    wait_until(lambda: caplog.text.count(line) >= 3, "some lines")
    path.touch()
    pline.close(DEADLOCK_S)
    said = [r for r in caplog.records if r.getMessage().startswith("starting: ")]
    assert {r.levelname for r in said} == {"SUMMARY"}  # shown by default
    assert not any("3 of 3" in r.getMessage() for r in said)


def test_it_is_said_also_while_processes_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(monitor, "STARTING_S", 0.0)
    assert list(mp.PipeLine([mp.Source(range(3)), mp.Transform(abs)])) == [0, 1, 2]
    assert "starting: 0 of 2 workers are ready (1 processes were asked for)" in caplog.text


def test_a_start_that_is_quick_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    at = SimpleNamespace(started=False, stopping=False, ready=0)
    progress = monitor.Monitor(SimpleNamespace(streams=()), SimpleNamespace(handles={}), at)
    for worker in range(1000):
        progress.action(Launch(worker), 5.0)
    progress.event(Tick(), 5.0 + 0.9 * monitor.STARTING_S)
    assert "starting" not in caplog.text
    assert progress.due_in_s(5.0) == monitor.STARTING_S
