"""What it takes to survive: from a death to work again; what the options cost while all is well."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import minipipe as mp
from benchmarks.row import Row
from benchmarks.small_items import Clock, ints, same

DEATHS = 15
REPEATS = 7
NOTHING: dict[str, Any] = {"restart": False}
EVERYTHING: dict[str, Any] = {
    "restart": True,
    "ordered": True,
    "timeout_s": 60.0,
    "max_failures": 0.01,
}


def megabytes(count: int) -> Iterator[np.ndarray[Any, Any]]:
    for i in range(count):
        array = mp.empty((1024, 256), np.float32)
        array.fill(i)
        yield array


def briefly(item: int) -> int:
    time.sleep(0.001)
    return item


def until_it_works_again() -> float:
    """The median, over several deaths, of the seconds until a new worker has had an item."""
    pline = mp.PipeLine([mp.Source(iter(int, 1)), mp.Sink(briefly, "work", max_restarts=DEATHS)])
    pline.build(log_lvl="ERROR")
    pline.run()
    taken_s = []
    for deaths in range(DEATHS):
        while _last(pline).items_in < 50:
            time.sleep(0.001)
        began_s = time.monotonic()
        os.kill(_last(pline).pid, signal.SIGKILL)
        while len(pline.stats().segment("work")) < deaths + 2 or not _last(pline).items_in:
            time.sleep(0.001)
        taken_s.append(time.monotonic() - began_s)
    pline.stop()
    pline.close()
    return statistics.median(taken_s)


def _last(pline: mp.PipeLine) -> Any:
    return pline.stats().segment("work")[-1]


def rate(source: Callable[[int], Iterator[Any]], count: int, options: dict[str, Any]) -> float:
    """Items a second, from the first one on."""
    middle = mp.Transform(same, n_processes=2, **options)
    pline = mp.PipeLine([mp.Source(lambda: source(count)), middle, mp.Sink(Clock(), "clock")])
    pline.build(log_lvl="WARNING")
    seen, took_s = pline.run().close()["clock"]
    assert seen == count
    return float(count / took_s)


def rows() -> list[Row]:
    took_s = until_it_works_again()
    what = f"from a worker's death (SIGKILL) to its replacement taking items, {DEATHS} deaths"
    table = [Row(what, f"{took_s:.3f} s", "", took_s, " s", 0.7, None)]
    for name, source, count in (("an int", ints, 600_000), ("a 1 MB array", megabytes, 4000)):
        pairs = [
            (rate(source, count, EVERYTHING), rate(source, count, NOTHING)) for _ in range(REPEATS)
        ]
        table.append(
            Row(
                f"{name}, two workers: restart, order, timeout and budget",
                f"{statistics.median(a for a, _ in pairs):,.0f} /s",
                f"without any {statistics.median(b for _, b in pairs):,.0f} /s",
                statistics.median(a / b for a, b in pairs),
                "x",
                0.9,
                None,
                larger_is_better=True,
            )
        )
    return table
