"""Dead letters, crash suspects and the trace of workers on another host are files of this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.dead_letters.reading import letters_in
from tests.conftest import DEADLOCK_S


@contextmanager
def run_with_an_agent(pline: mp.PipeLine, place: Path, **options: Any) -> Iterator[None]:
    """Runs it with another host, which is called 'far', and is this machine once more."""
    token = place / "token"
    pline.run(bind="tcp://127.0.0.1:0", token_file=token, **options)
    command = [sys.executable, "-m", "minipipe", "agent", "--join", f"@{token}"]
    command += ["--name", "far", "--slots", "4"]
    agent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        try:
            pline.stop()
            agent.wait(DEADLOCK_S)
        finally:
            agent.kill()
            agent.wait()


class Collects:
    def __init__(self) -> None:
        self.got: list[int] = []

    def __call__(self, x: int) -> None:
        self.got.append(x)

    def local_term(self) -> list[int]:
        return sorted(self.got)


def picky(x: int) -> int:
    if x in (4, 11):
        raise ValueError(f"no {x}")
    if x == 15:
        os._exit(3)
    return x


def test_what_is_skipped_there_stands_in_the_file_here(tmp_path: Path) -> None:
    letters, trace = str(tmp_path / "letters"), tmp_path / "trace.json"
    options: dict[str, Any] = {"max_failures": 2, "poison": "skip", "max_restarts": 9}
    work = mp.Transform(picky, "work", n_processes=2, on="far", dead_letter=letters, **options)
    pline = mp.PipeLine([mp.Source(range(30)), work, mp.Sink(Collects(), "keep")])
    with run_with_an_agent(pline, tmp_path, trace=str(trace)):
        result = pline.close(DEADLOCK_S)["keep"]
    assert result == [x for x in range(30) if x not in (4, 11, 15)]
    found = {letter.number: letter for letter in letters_in(letters)}
    assert {number: letter.item() for number, letter in found.items()} == {4: 4, 11: 11, 15: 15}
    assert (found[4].error, found[4].text, found[4].segment) == ("ValueError", "no 4", "work")
    assert "picky" in found[4].trace
    assert found[15].error == "PoisonError"
    assert {w.host for w in pline.stats().segment("work")} == {"far"}
    events = json.loads(trace.read_text())["traceEvents"]
    names = [e["args"]["name"] for e in events if e["name"] == "thread_name"]
    assert any(name.startswith("work/0 on far (pid") for name in names)
    assert len({event["pid"] for event in events if event["ph"] == "X"}) == 3


def killed(x: int) -> int:
    if x == 25:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.002)  # (Of shorter calls only some are timed.)
    return x


def test_what_a_worker_there_has_done_is_known_when_it_was_killed(tmp_path: Path) -> None:
    work = mp.Transform(killed, "work", on="far", poison="skip")
    pline = mp.PipeLine([mp.Source(range(30)), work])
    with run_with_an_agent(pline, tmp_path, trace=str(tmp_path / "trace.json")):
        assert list(pline) == [x for x in range(30) if x != 25]
    timeline = pline.timeline()
    assert timeline is not None
    died = [track for track in timeline.tracks if track.segment == "work" and track.end == "died"]
    assert len(died) == 2
    assert {span.number for track in died for span in track.spans} >= {*range(26)}


def test_the_item_that_ends_the_run_is_written_before_the_run_ends(tmp_path: Path) -> None:
    letters = str(tmp_path / "letters")
    work = mp.Transform(picky, "work", on="far", dead_letter=letters)
    pline = mp.PipeLine([mp.Source([1, 11]), work, mp.Sink(print)])
    with run_with_an_agent(pline, tmp_path):
        with pytest.raises(ValueError, match="no 11"):
            pline.close(DEADLOCK_S)
        (letter,) = letters_in(letters)
    assert (letter.number, letter.item()) == (1, 11)
