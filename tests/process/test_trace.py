"""`run(trace=...)` of real workers: also of those that are killed, and of runs that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.errors import OptionError
from tests.conftest import wait_until

TIMEOUT_S = 60


def events_of(path: Path) -> list[dict[str, Any]]:
    document = json.loads(path.read_text())
    assert document["otherData"]["state"] == "ended"
    found: list[dict[str, Any]] = document["traceEvents"]
    return found


def spans(path: Path, name: str, segment: str) -> list[dict[str, Any]]:
    events = events_of(path)
    places = {e["args"]["name"]: e["pid"] for e in events if e["name"] == "process_name"}
    return [e for e in events if e["pid"] == places[segment] and e["name"] == name]


def items(found: list[dict[str, Any]]) -> set[int]:
    return {event["args"]["item"] for event in found if "item" in event.get("args", {})}


def slow(x: int) -> int:
    time.sleep(0.002)
    return x


def pipeline(work: Any, count: int = 30, **options: Any) -> mp.PipeLine:
    pline = mp.PipeLine([mp.Source(range(count), "load"), mp.Transform(work, "work", **options)])
    pline.build(log_lvl="ERROR")
    return pline


def test_every_call_is_a_span_with_its_item_and_the_loop_has_its_own(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    pline = pipeline(slow, n_processes=2).run(trace=file)
    for _ in pline:
        time.sleep(0.001)
    pline.close(TIMEOUT_S)
    calls = spans(file, "busy", "work")
    assert items(calls) == set(range(30))
    assert all(call["dur"] >= 2000 and call["args"]["of"] == "load" for call in calls)
    assert items(spans(file, "busy", "(caller)")) == set(range(30))
    assert len(spans(file, "start", "work")) == 2
    assert not spans(file, "died", "work")


def test_each_thread_has_a_row_of_its_own_with_the_items_that_it_called(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    pline = pipeline(slow, 60, n_processes=2, threads=3).run(trace=file)
    assert sorted(pline) == list(range(60))
    pline.close(TIMEOUT_S)
    events = events_of(file)
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    threads = {tid for tid, name in names.items() if " thread " in name}
    assert sorted(names[tid].partition(" (")[0] for tid in threads) == [
        f"work/{worker} thread {thread}" for worker in (0, 1) for thread in (1, 2, 3)
    ]
    calls = [call for call in spans(file, "busy", "work") if call["tid"] in threads]
    assert items(calls) == set(range(60)) and len(calls) == 60
    assert all(call["dur"] >= 2000 and call["args"]["of"] == "load" for call in calls)
    for tid in threads:  # one after the other
        its = sorted((c["ts"], c["ts"] + c["dur"]) for c in calls if c["tid"] == tid)
        assert all(first[1] <= then[0] + 0.01 for first, then in pairwise(its))
    timeline = pline.timeline()
    assert timeline is not None
    rows = [track.name for track in timeline.tracks if track.segment == "work"]
    assert rows[:2] == ["work/0", "work/0 thread 1"] and rows[4] == "work/1"
    assert not spans(file, "died", "work")


def test_nobody_who_has_not_asked_has_one() -> None:
    pline = pipeline(slow).run()
    assert list(pline) == list(range(30))
    pline.close(TIMEOUT_S)
    execution = pline._execution
    assert execution is not None
    assert execution.timeline() is None


def test_items_of_microseconds_are_shown_by_their_shares_in_little_room(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    pline = pipeline(abs, 200_000).run(trace=file)
    assert sum(1 for _ in pline) == 200_000
    pline.close(TIMEOUT_S)
    assert file.stat().st_size < 4_000_000
    assert spans(file, "busy", "work")  # some, one by one; the others by their shares
    stats = pline.stats()["work"]
    total = 0.0
    for event in events_of(file):
        if event["ph"] == "X" and event["tid"] == 2 and event["name"] != "start":
            share = event.get("args", {}).get("busy %", 100 * (event["name"] == "busy"))
            total += event["dur"] * share / 1e8
    assert total == pytest.approx(stats.busy_s, rel=0.3, abs=0.05)


def test_a_killed_worker_has_a_track_and_the_call_that_it_died_in(tmp_path: Path) -> None:
    file, first = tmp_path / "trace.json", tmp_path / "first"

    def work(x: int) -> int:
        if x == 20 and not first.exists():
            first.touch()
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)
        return slow(x)

    pline = pipeline(work).run(trace=file)
    assert sorted(pline) == list(range(30))
    pline.close(TIMEOUT_S)
    assert len(spans(file, "died", "work")) == 1
    (dead,) = {event["tid"] for event in spans(file, "died", "work")}
    its = [call for call in spans(file, "busy", "work") if call["tid"] == dead]
    last = max(its, key=lambda call: float(call["ts"]))
    assert last["args"]["item"] == 20
    assert last["dur"] >= 200_000
    assert len(spans(file, "start", "work")) == 2


def test_of_a_run_that_fails_what_is_known_is_written(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"

    def work(x: int) -> int:
        if x == 20:
            raise RuntimeError("no")
        return slow(x)

    pline = pipeline(work).run(trace=str(file))
    with pytest.raises(RuntimeError, match="no"):
        list(pline)
    assert items(spans(file, "busy", "work")) >= set(range(20))


def test_a_loop_that_is_left_has_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    pline = pipeline(slow, 10_000).run(trace=file)
    for i, _ in enumerate(pline):
        if i == 5:
            break
    pline.close(TIMEOUT_S)
    assert items(spans(file, "busy", "work")) >= set(range(5))


def test_after_a_ctrl_c_the_trace_is_there(tmp_path: Path) -> None:
    file, begun = tmp_path / "trace.json", tmp_path / "begun"
    program = f"""
import pathlib, time
import minipipe as mp
def work(x):
    time.sleep(0.01)
    if x == 20:
        pathlib.Path({str(begun)!r}).touch()
pline = mp.PipeLine([mp.Source(range(10**6), "load"), mp.Sink(work, "work")])
pline.run(trace={str(file)!r}).close()
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: begun.exists() or process.poll() is not None, "twenty items")
        # Until its end it is there, valid, and says nothing.
        assert json.loads(file.read_text())["traceEvents"] == []
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    assert "interrupted" in said
    assert items(spans(file, "busy", "work")) >= set(range(20))


def test_passes_are_in_one_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    pline = mp.PipeLine(
        [mp.Source(range(5), "load"), mp.Transform(slow, "work")], persistent=True
    ).build(log_lvl="ERROR")
    pline.run(trace=file)
    assert [list(pline), list(pline)] == [[0, 1, 2, 3, 4]] * 2
    pline.close(TIMEOUT_S)
    calls = [call["args"] for call in spans(file, "busy", "work") if "item" in call["args"]]
    assert [(call.get("pass", 0), call["item"]) for call in calls] == [
        (pass_, item) for pass_ in range(2) for item in range(5)
    ]


def test_inline_has_one_too_one_call_after_the_other(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    pline = mp.PipeLine([mp.Source(range(30), "load"), mp.Transform(slow, "work")])
    pline.build(inline=True, log_lvl="ERROR").run(trace=file)
    for _ in pline:
        time.sleep(0.001)
    pline.close()
    for segment in ("load", "work", "(caller)"):
        assert items(spans(file, "busy", segment)) >= set(range(30))
    calls = sorted((e["ts"], e["dur"]) for e in events_of(file) if e["ph"] == "X")
    for (begin, lasted), (following, _) in pairwise(calls):
        assert following >= begin + lasted - 0.01  # of a microsecond


@pytest.mark.parametrize("inline", [False, True])
def test_a_file_that_cannot_be_written_is_an_error_before_anything_starts(
    tmp_path: Path, inline: bool
) -> None:
    pline = mp.PipeLine([mp.Source(range(3), "load"), mp.Transform(slow, "work")])
    pline.build(log_lvl="ERROR", inline=inline)
    with pytest.raises(OptionError, match="cannot be written"):
        pline.run(trace=tmp_path / "no" / "trace.json")
    assert list(pline.run()) == [0, 1, 2]
    pline.close(TIMEOUT_S)


def test_a_worker_that_cannot_write_down_what_it_does_works_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from minipipe.supervisor import tracing

    file = tmp_path / "trace.json"
    monkeypatch.setattr(tracing, "room_of", lambda workers: (1 << 50, 1 << 50))  # a disk is full
    monkeypatch.setattr(tracing.Tracing, "begin_caller", lambda self, node: None)
    pline = pipeline(slow).run(trace=file)
    assert list(pline) == list(range(30))
    pline.close(TIMEOUT_S)
    assert not spans(file, "busy", "work")
