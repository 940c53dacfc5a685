"""What workers count of calls, failures and bytes, in real runs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.protocol.run.stats import RunStats


def stats_after(*segments: Any) -> RunStats:
    pline = mp.PipeLine(list(segments))
    pline.build(log_lvl="ERROR")
    pline.run()
    pline.close()
    return pline.stats()


def sleeps(x: int) -> int:
    time.sleep(0.2 if x % 10 == 9 else 0.02)
    return x


@pytest.mark.parametrize("options", [{}, {"threads": 2}, {"threads": 2, "batch": 4}, {"batch": 4}])
def test_quantiles_are_those_of_the_calls(options: dict[str, Any]) -> None:
    stats = stats_after(
        mp.Source(range(40)), mp.Transform(sleeps, "work", **options), mp.Sink(lambda x: None)
    )
    work = stats["work"]
    assert work.timed_calls == 40
    assert work.p50_s is not None and work.p95_s is not None
    assert work.p50_s >= 0.018  # a sleep may take longer, and never less
    assert work.p95_s >= 0.18
    assert work.p50_s < work.p95_s


def test_of_quick_calls_a_sample_is_timed_and_the_table_says_so() -> None:
    stats = stats_after(mp.Source(range(100_000)), mp.Sink(abs, "work"))
    work = stats["work"]
    assert 0 < work.timed_calls < 50_000
    assert work.p50_s is not None and work.p50_s < 50e-6
    assert "of a sample" in str(stats)


def fails(x: int) -> int | None:
    if x % 10 == 3:
        raise ValueError("three")
    return None if x % 10 == 4 else x


@pytest.mark.parametrize("inline", [False, True])
def test_failures_are_told_from_what_is_left_out(inline: bool) -> None:
    pline = mp.PipeLine(
        [mp.Source(range(100)), mp.Transform(fails, "work", ignore_exceptions=[ValueError])]
    )
    pline.build(log_lvl="ERROR", inline=inline)
    assert len(list(pline)) == 80
    work = pline.stats()["work"]
    assert (work.dropped, work.failed, work.skipped) == (20, 10, 10)


def test_the_failure_that_ends_a_run_is_none_that_was_skipped() -> None:
    pline = mp.PipeLine([mp.Source(range(10)), mp.Transform(fails, "work")])
    pline.build(log_lvl="CRITICAL")
    with pytest.raises(ValueError, match="three"):
        list(pline)
    work = pline.stats()["work"]
    assert (work.failed, work.skipped) == (1, 0)


class DiesOnce:
    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, x: int) -> int:
        if x == 5 and not os.path.exists(self.path):
            open(self.path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return x


def test_restarts_are_counted(tmp_path: Path) -> None:
    work = mp.Transform(DiesOnce(str(tmp_path / "died")), "work", restart=True)
    stats = stats_after(mp.Source(range(20)), work, mp.Sink(lambda x: None))
    assert stats["work"].restarts == 1
    totals = {segment.name: segment.total for segment in stats.segments}
    assert totals["work"].restarts == 1 and totals["work"].workers == 1
    assert totals["Source"].restarts == 0


def large(x: int) -> np.ndarray:
    return np.full(100_000, x, dtype=np.float64)


def test_bytes_are_counted_where_they_leave_and_where_they_arrive() -> None:
    stats = stats_after(
        mp.Source(range(50)), mp.Transform(large, "large"), mp.Sink(lambda x: None, "keep")
    )
    sent = stats["large"].bytes_out
    assert sent >= 50 * 800_000
    assert sent <= 50 * 801_000
    assert sent <= stats["keep"].bytes_in <= 1.25 * sent  # slots as a whole
    assert 50 <= stats["large"].bytes_in < 100_000


def test_counters_of_a_worker_in_a_long_call_are_there(tmp_path: Path) -> None:
    marker = tmp_path / "go on"

    def waits(x: int) -> int:
        while x == 3 and not marker.exists():
            time.sleep(0.01)
        time.sleep(0.001)
        return x

    pline = mp.PipeLine([mp.Source(range(4)), mp.Transform(waits, "work"), mp.Sink(abs)])
    pline.build(log_lvl="ERROR")
    pline.run()
    try:
        deadline_s = time.monotonic() + 60
        while (work := pline.stats()["work"]).item != 3 or work.items_in < 3:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        assert work.timed_calls == 3
        assert work.bytes_in > 0
        assert work.busy_s > 0
    finally:
        marker.touch()
        pline.close()
