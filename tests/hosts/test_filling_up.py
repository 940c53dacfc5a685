"""A run begins with what there is, and fills up when a machine joins."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

import minipipe as mp
from tests.conftest import DEADLOCK_S


def agent(token: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "minipipe", "agent", *arguments],
        env={**os.environ, "MINIPIPE_TOKEN": token},
        stderr=subprocess.PIPE,
        text=True,
    )


def make() -> Iterator[int]:
    return itertools.count()


def test_a_run_begins_with_what_there_is_and_fills_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(item: int) -> tuple[int, int, str]:
        time.sleep(0.002)
        info = mp.get_worker_info()
        assert info is not None
        return item, os.getpid(), info.name

    monkeypatch.setattr("minipipe.supervisor.placing.usable_cpus", lambda: 1)
    pline = mp.PipeLine().add(mp.Source(make)).add(mp.Transform(work, "work", n_processes=3))
    pline.run(bind="tcp://127.0.0.1:0", place_timeout_s=DEADLOCK_S)
    assert pline.token is not None
    items, names, began_s = [], set(), time.monotonic()
    joined: subprocess.Popen[str] | None = None
    for item, _, name in pline:  # it begins, although two of its workers have no machine
        items.append(item)
        names.add(name)
        if joined is None:
            assert {w.worker for w in pline.stats().segment("work") if w.pid} == {name}
            joined = agent(pline.token, "--slots", "2")
        if len(names) == 3:
            break
        assert time.monotonic() - began_s < DEADLOCK_S, "nobody has joined"
    assert joined is not None
    assert names == {"work/0", "work/1", "work/2"}
    assert len(items) == len(set(items))
    _, said = joined.communicate(timeout=DEADLOCK_S)
    assert joined.returncode == 0
    assert "with 2 slots" in said
    assert sorted(w.worker for w in pline.stats().segment("work")) == sorted(names)


def test_a_tag_that_nobody_has_ends_the_run_when_the_time_is_over() -> None:
    pline = mp.PipeLine().add(mp.Source([1])).add(mp.Transform(abs, "work", on="gpu"))
    with pytest.raises(mp.StartError, match=r"'work' has asked for room on a machine with the tag"):
        list(pline.run(bind="tcp://127.0.0.1:0", place_timeout_s=0.2))
