"""The automatic window beside the best of the fixed ones (`buffer_size`)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import minipipe as mp
from benchmarks.row import Row
from benchmarks.small_items import Clock

REPEATS = 3
SECONDS = 1.0  # that a run takes, about
FIXED = (2, 8, 64, 1024)
SIZES = {"100 B": 100, "64 kB": 65_536, "1 MB": 1_000_000}
# Seconds a functor takes, and how many items a second there are at most, by size, or so.
WORKS_S = (0.0, 0.001, 0.010)
AT_MOST = {"100 B": 200_000, "64 kB": 15_000, "1 MB": 2_500}


def rate(size: int, work_s: float, count: int, window: int | None) -> float:
    """Items a second from a Source through a Transform in two workers to a Sink."""
    made = [np.full(size, i, np.uint8) for i in range(8)]

    def load() -> Iterator[Any]:
        for i in range(count):
            yield made[i % 8]

    def work(item: Any) -> Any:
        if work_s:
            time.sleep(work_s)
        return item

    options = {} if window is None else {"buffer_size": window}
    pline = mp.PipeLine([mp.Source(load, **options)])
    pline.add(mp.Transform(work, **options), n_processes=2)
    pline.add(mp.Sink(Clock(), "clock"))
    pline.build(log_lvl="WARNING")
    seen, took_s = pline.run().close()["clock"]
    assert seen == count
    return float(count / took_s)


def rows() -> list[Row]:
    """For each size and functor, the automatic one over the best."""
    table = []
    for name, size in SIZES.items():
        for work_s in WORKS_S:
            most = AT_MOST[name] if not work_s else min(AT_MOST[name], 2 / work_s)
            count = max(64, int(most * SECONDS))
            found: dict[int | None, list[float]] = {window: [] for window in (None, *FIXED)}
            for _ in range(REPEATS):
                for window, rates in found.items():
                    rates.append(rate(size, work_s, count, window))
            medians = {window: statistics.median(rates) for window, rates in found.items()}
            automatic = medians.pop(None)
            best = max(medians, key=lambda window: medians[window])
            table.append(
                Row(
                    f"items of {name}, functors of {work_s * 1e3:.0f} ms: the automatic window",
                    f"{automatic:,.0f} /s",
                    f"buffer_size={best}: {medians[best]:,.0f} /s",
                    automatic / medians[best],
                    "x",
                    0.9,
                    1.0,
                    larger_is_better=True,
                )
            )
    return table
