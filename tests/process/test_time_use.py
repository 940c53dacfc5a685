"""What `stats()` says of where the time goes, of real workers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import minipipe as mp
from minipipe.protocol.run.stats import RunStats, WorkerStats


def numbers(seconds: float) -> Iterator[int]:
    for i in range(60):
        time.sleep(seconds)
        yield i


def stats_of(source_s: float, transform_s: float, sink_s: float) -> RunStats:
    def work(x: int) -> int:
        time.sleep(transform_s)
        return x

    def keep(x: int) -> None:
        time.sleep(sink_s)

    pline = mp.PipeLine(
        [
            mp.Source(lambda: numbers(source_s), "source"),
            mp.Transform(work, "work"),
            mp.Sink(keep, "keep"),
        ]
    )
    pline.build(log_lvl="ERROR")
    pline.run()
    pline.close(60)
    return pline.stats()


def whole_s(worker: WorkerStats) -> float:
    return worker.busy_s + worker.starved_s + worker.blocked_s + worker.own_s


def most(worker: WorkerStats) -> str:
    parts = ("busy_s", "starved_s", "blocked_s", "own_s")
    return max(parts, key=lambda name: float(getattr(worker, name)))


@pytest.mark.parametrize(
    ("slow", "expected"),
    [
        ((0.02, 0.0, 0.0), ("busy_s", "starved_s", "starved_s")),
        ((0.0, 0.02, 0.0), ("blocked_s", "busy_s", "starved_s")),
        ((0.0, 0.0, 0.02), ("blocked_s", "blocked_s", "busy_s")),
    ],
)
def test_who_is_slow_is_busy_who_comes_before_is_blocked_who_comes_after_is_starved(
    slow: tuple[float, float, float], expected: tuple[str, ...]
) -> None:
    stats = stats_of(*slow)
    assert tuple(most(worker) for worker in stats) == expected
    busy = next(worker for worker in stats if most(worker) == "busy_s")
    assert 60 * 0.02 <= busy.busy_s <= stats.seconds


def test_each_workers_time_is_that_of_the_run_and_messages_are_counted() -> None:
    stats = stats_of(0.0, 0.01, 0.0)
    for worker in stats:
        assert 0.6 <= whole_s(worker) <= stats.seconds
        assert worker.wakeups > 0
    source, work, keep = stats
    assert work.messages_in >= source.parcels_out > 0
    assert keep.messages_in >= work.parcels_out > 0
    assert source.messages_in > 0  # credit, confirmations
    assert "starved" in str(stats).splitlines()[1]


def test_a_worker_in_a_long_call_is_seen_to_be_busy() -> None:
    def work(x: int) -> int:
        time.sleep(60)
        return x

    pline = mp.PipeLine([mp.Source([1], "source"), mp.Transform(work, "work"), mp.Sink(print)])
    pline.build(log_lvl="ERROR")
    pline.run()
    until_s = time.monotonic() + 60
    try:
        while pline.stats()["work"].busy_s < 0.5:
            assert time.monotonic() < until_s, pline.stats()
            time.sleep(0.05)
    finally:
        pline.stop()


def test_a_loops_body_is_what_the_caller_is_busy_with() -> None:
    pline = mp.PipeLine([mp.Source(range(40), "source")])
    pline.build(log_lvl="ERROR")
    for _ in pline:
        time.sleep(0.01)
    stats = pline.stats()
    pline.close(60)
    (caller,) = (worker for worker in stats if worker.segment != "source")
    assert most(caller) == "busy_s"
    assert 0.4 <= caller.busy_s <= stats.seconds


def test_what_goes_on_inside_a_regulator_is_timed_too() -> None:
    class Slow:
        def run(self) -> Iterator[object]:
            while True:
                item = yield
                time.sleep(0.02)
                yield item

    pline = mp.PipeLine(
        [mp.Source(range(30), "source"), mp.Regulator(Slow(), "slow"), mp.Sink(print, "keep")]
    )
    pline.build(log_lvl="ERROR")
    pline.run()
    pline.close(60)
    slow = pline.stats()["slow"]
    assert most(slow) == "busy_s"
    assert slow.busy_s >= 0.55
