"""Functors that hang, and runs that stand still, with real workers."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

import minipipe as mp
from minipipe.protocol.run import timeouts
from tests.conftest import wait_until
from tests.process.functors import Collect, same


def test_an_item_that_takes_too_long_is_a_death_with_a_stack(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = tmp_path / "hung"

    def hangs_once(x: int) -> int:
        if x == 7 and not mark.exists():
            mark.touch()
            time.sleep(600)  # here it hangs
        return x

    pline = mp.PipeLine([mp.Source(range(50))])
    pline.add(mp.Transform(hangs_once, "slow", timeout_s=0.3), n_processes=2)
    began_s = time.monotonic()
    assert sorted(pline) == list(range(50))
    assert time.monotonic() - began_s < 15
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    for part in (
        "segment 'slow'",
        "for one item (timeout_s=0.3)",
        "item 7 of 'Source'",
        "replaced",
        "its functor was at:",
        "in hangs_once",
    ):
        assert part in said


def test_an_item_that_always_takes_too_long_is_poison_and_named() -> None:
    def hangs(x: int) -> int:
        while x == 3:  # holds the interpreter, and no signal handler of Python's would run
            pass
        return x

    pline = mp.PipeLine([mp.Source(range(9)), mp.Transform(hangs, "slow", timeout_s=0.3)])
    with pytest.raises(mp.PoisonError, match=r"item 3 of 'Source' has killed two .*'slow'"):
        list(pline)
    pline = mp.PipeLine([mp.Source(range(9))])
    pline.add(mp.Transform(hangs, "slow", timeout_s=0.3, poison="skip"))
    assert sorted(pline) == [0, 1, 2, 4, 5, 6, 7, 8]


def test_an_object_that_hangs_ends_the_run_with_its_stack() -> None:
    class Hangs:
        def run(self, x: int) -> int:
            if x == 2:
                threading.Event().wait()
            return x

    pline = mp.PipeLine([mp.Source(range(9)), mp.Sink(Hangs(), "slow", timeout_s=0.3)])
    with pytest.raises(mp.WorkerDiedError, match=r"(?s)timeout_s=0\.3.*item 2.*functor was at:.*r"):
        pline.run()
        pline.close(30)


def test_slow_items_within_the_limit_are_left_alone() -> None:
    def slow(x: int) -> int:
        time.sleep(0.1)
        return x

    pline = mp.PipeLine([mp.Source(range(10)), mp.Transform(slow, timeout_s=1.0)])
    assert sorted(pline) == list(range(10))
    assert [w.state for w in pline.stats().workers].count("died") == 0


def test_what_waits_for_room_or_items_does_not_hang() -> None:
    def slow(x: int) -> None:
        time.sleep(0.05)

    pline = mp.PipeLine([mp.Source(range(40)), mp.Transform(same, timeout_s=0.2)])
    pline.add(mp.Sink(slow, buffer_size=1))
    pline.run()
    pline.close(30)


def test_a_run_that_stands_still_says_who_is_where(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(timeouts, "FIRST_STALL_S", 1.5)
    mark = tmp_path / "go"

    def waits(x: int) -> int:
        while x == 4 and not mark.exists():
            time.sleep(0.05)
        return x

    pline = mp.PipeLine([mp.Source(range(9)), mp.Transform(waits, "waits")])
    pline.add(mp.Sink(Collect(), "keep"))
    pline.run()
    wait_until(lambda: "no progress for" in caplog.text, "the warning")
    mark.touch()
    assert pline.close(30) == {"keep": list(range(9))}
    (said,) = [r.getMessage() for r in caplog.records if "no progress" in r.getMessage()]
    assert "'waits' (pid " in said
    assert "is in its functor at item 4 of 'Source'" in said


def test_a_worker_that_somebody_has_stopped_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(timeouts, "FIRST_STALL_S", 1.5)
    pline = mp.PipeLine([mp.Source(iter(int, 1)), mp.Transform(same, "t"), mp.Sink(same, "k")])
    pline.run()
    wait_until(lambda: pline.stats()["k"].items_in > 20, "items")
    pid = pline.stats()["t"].pid
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: "no progress for" in caplog.text, "the warning")
    os.kill(pid, signal.SIGCONT)
    assert f"'t' (pid {pid}) is stopped (SIGSTOP)" in caplog.text
    pline.stop()
    pline.close(30)
