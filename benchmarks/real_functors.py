"""Functors that take as long as real ones do, in many workers: what MiniPipe costs beside them.

Where functors sleep, all of the processor time is the framework's.  Where they compute, what
counts is by how much two workers on two cores miss half of the time.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import minipipe as mp
from benchmarks import bare_zeromq
from benchmarks.cpu import cpu_s
from benchmarks.row import Row

REPEATS = 5
WORKERS = 16
SECONDS = 4.0
# Seconds a functor sleeps, and how many times the floor it may cost (must, goal).
SLEEPS = ((0.005, 1.5, 1.15), (0.05, 1.3, 1.15))
RESULT = np.zeros(12_000, np.uint8)
WORKS_US = (100, 250, 1000)


class Sleep:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, item: int) -> int:
        time.sleep(self.seconds)
        return item


def _middle(items: int) -> tuple[int, int]:
    return items // 10, items - items // 10


def ours_asleep(sleep_s: float, items: int) -> tuple[float, float]:
    """Items a second, and microseconds of processor time for an item of all workers together."""
    sleep = Sleep(sleep_s)
    pline = mp.PipeLine([mp.Source(range(items), "load")])
    pline.add(mp.Transform(lambda x: sleep(x), "work", n_processes=WORKERS))
    pline.add(mp.Sink(lambda x: None, "keep"))
    pline.build(log_lvl="WARNING")
    pline.run()

    def seen() -> tuple[int, float, float]:
        stats = pline.stats()
        pids = {worker.pid for worker in stats if worker.pid} | {os.getpid()}
        return stats["keep"].items_in, time.monotonic(), cpu_s(pids)

    first, last = _middle(items)
    while seen()[0] < first:
        time.sleep(0.05)
    before = seen()
    time.sleep(max(0.5, (last - before[0]) * sleep_s / WORKERS * 0.8))
    after = seen()
    pline.close()
    count = after[0] - before[0]
    return count / (after[1] - before[1]), (after[2] - before[2]) / count * 1e6


def pool_asleep(sleep_s: float, items: int) -> tuple[float, float]:
    """The same of multiprocessing.Pool."""
    first, last = _middle(items)
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        pids = [process.pid or 0 for process in multiprocessing.active_children()]
        pids.append(os.getpid())
        for i, _ in enumerate(pool.imap_unordered(Sleep(sleep_s), range(items))):
            if i == first:
                began_s, used_s = time.monotonic(), cpu_s(pids)
            elif i == last:
                took_s, used_s = time.monotonic() - began_s, cpu_s(pids) - used_s
    return (last - first) / took_s, used_s / (last - first) * 1e6


def asleep() -> list[Row]:
    """Processor time for an item beside the floor; items a second beside Pool."""
    table = []
    for sleep_s, must, goal in SLEEPS:
        items = int(WORKERS / sleep_s * SECONDS)
        rounds = [
            (
                ours_asleep(sleep_s, items),
                bare_zeromq.measured(WORKERS, sleep_s, items),
                pool_asleep(sleep_s, items),
            )
            for _ in range(REPEATS)
        ]
        cost, floor, pool = (statistics.median(r[i][1] for r in rounds) for i in range(3))
        table.append(
            Row(
                f"{WORKERS} workers of {sleep_s * 1e3:.0f} ms: processor time an item",
                f"{cost:.0f} us",
                f"three bare ZeroMQ messages {floor:.0f} us (Pool: {pool:.0f} us)",
                statistics.median(ours[1] / bare[1] for ours, bare, _ in rounds),
                "x",
                must,
                goal,
            )
        )
        rate, pools = (statistics.median(r[i][0] for r in rounds) for i in (0, 2))
        table.append(
            Row(
                f"{WORKERS} workers of {sleep_s * 1e3:.0f} ms: items a second",
                f"{rate:,.0f} /s of {WORKERS / sleep_s:,.0f}",
                f"Pool {pools:,.0f} /s",
                statistics.median(ours[0] / pool[0] for ours, _, pool in rounds),
                "x",
                0.95,
                None,
                larger_is_better=True,
            )
        )
    return table


# ------------------------------------------------------------------- functors that compute
def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


class Work:
    """So much processor time, and a result of 12 kB."""

    def __init__(self, us: int) -> None:
        self.seconds = us * 1e-6

    def __call__(self, item: int) -> np.ndarray[Any, Any]:
        busy(self.seconds)
        return RESULT


def ours_at_work(us: int, items: int) -> float:
    """Seconds for all items, without the start."""
    work = Work(us)
    pline = mp.PipeLine([mp.Source(range(items))])
    pline.add(mp.Transform(lambda x: work(x), n_processes=2))
    pline.build(log_lvl="WARNING")
    return _span(iter(pline), items)


def pool_at_work(us: int, items: int) -> float:
    """The same of Pool, with chunks of 16."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return _span(pool.imap_unordered(Work(us), range(items), 16), items)


def _span(results: Iterator[Any], items: int) -> float:
    """From the first tenth of the results on, for as many items as there are."""
    skipped = items // 10
    for _ in range(skipped):
        next(results)
    began_s = time.monotonic()
    count = sum(1 for _ in results)
    return (time.monotonic() - began_s) * items / count


def at_work() -> list[Row]:
    """The time beside the ideal: half of what one process would need for the functors alone."""
    table = []
    for us in WORKS_US:
        items = 2_000_000 // us
        ideal_s = items * us * 1e-6 / 2
        rounds = [(ours_at_work(us, items), pool_at_work(us, items)) for _ in range(REPEATS)]
        took, pool = (statistics.median(r[i] / ideal_s for r in rounds) for i in (0, 1))
        table.append(
            Row(
                f"functors of {us} us, two workers, results of 12 kB: time over the ideal",
                f"{took:.2f}",
                f"Pool in chunks of 16: {pool:.2f}",
                took,
                "x",
                max(round(pool, 2), 1.25),
                1.1,
            )
        )
    return table


def rows() -> list[Row]:
    """Both."""
    return asleep() + at_work()
