"""What `run(trace=True)` costs: processor time an item of all processes, with it and without."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import minipipe as mp
from benchmarks.cpu import cpu_s
from benchmarks.row import Row

PAIRS = 7
SMALL, EACH = 300_000, 4_000  # items
WAIT_S = 0.0002  # so long that each call is written down


def waits(item: int) -> int:
    time.sleep(WAIT_S)
    return item


def cpu_us(function: Callable[[Any], Any], items: int, *, trace: bool) -> float:
    """Microseconds of processor time an item, between the first tenth and the last item."""
    pline = mp.PipeLine([mp.Source(range(items)), mp.Transform(function, "f")])
    loop = iter(pline.build(log_lvl="WARNING").run(trace=trace or None))
    first = items // 10
    for _ in islice(loop, first):
        pass
    pids = [os.getpid(), *(worker.pid for worker in pline.stats().workers if worker.pid)]
    pids = list(dict.fromkeys(pids))
    began_s = cpu_s(pids)
    for _ in islice(loop, items - first - 1):
        pass
    took_s = cpu_s(pids) - began_s  # before the last item: they are all still there
    for _ in loop:
        pass
    return 1e6 * took_s / (items - first - 1)


def rows() -> list[Row]:
    """In pairs: of quick functors a sample of calls is written down, of others each."""
    table = []
    for function, items, what in (
        (abs, SMALL, "ints through three segments"),
        (waits, EACH, f"a functor of {1e6 * WAIT_S:.0f} us"),
    ):
        pairs = []
        for turn in range(PAIRS):
            order = (False, True) if turn % 2 else (True, False)
            found = {trace: cpu_us(function, items, trace=trace) for trace in order}
            pairs.append((found[True], found[False]))
        table.append(
            Row(
                f"{what}, with trace=True: processor time an item",
                f"{statistics.median(a for a, _ in pairs):.3g} us",
                f"without {statistics.median(b for _, b in pairs):.3g} us",
                statistics.median(a / b for a, b in pairs),
                "x",
                1.15,
                1.05,
            )
        )
    return table
