"""From pass to pass of a persistent pipeline: how long nothing comes, beyond the fill time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import minipipe as mp
from benchmarks.row import Row, median_of

ITEMS, PASSES, WORKERS = 200, 15, 4
WORK_S = 0.002


def work(item: int) -> int:
    time.sleep(WORK_S)
    return item


def endless() -> Iterator[int]:
    item = 0
    while True:
        yield item
        item += 1


def line(source: object) -> mp.PipeLine:
    pline = mp.PipeLine(
        [mp.Source(source), mp.Transform(work, n_processes=WORKERS)], persistent=True
    )
    return pline.build(log_lvl="WARNING")


def _gaps_ms(pline: mp.PipeLine, taken: int) -> list[float]:
    """From the last item that was taken of a pass to the first of the next, for each pass."""
    gaps: list[float] = []
    last_s = 0.0
    for _ in range(PASSES):
        for count, _item in enumerate(pline, 1):
            now_s = time.monotonic()
            if count == 1 and last_s:
                gaps.append((now_s - last_s - WORK_S) * 1e3)  # the fill time: one item's work
            last_s = now_s
            if count == taken:
                break
    pline.close()
    return sorted(gaps)


def whole_ms() -> float:
    """Of passes that are read to their end."""
    gaps = _gaps_ms(line(range(ITEMS)), ITEMS + 1)
    return gaps[len(gaps) // 2]


def left_ms() -> float:
    """Of passes that are left early."""
    gaps = _gaps_ms(line(endless), ITEMS // 4)
    return gaps[len(gaps) // 2]


def rows() -> list[Row]:
    """Medians over passes, and of some runs."""
    whole, left = median_of(whole_ms, 3), median_of(left_ms, 3)
    about = f"{WORKERS} workers of {WORK_S * 1e3:g} ms"
    return [
        Row(f"pass to pass, beyond the fill time, {about}", *_said(whole), " ms", 50.0, 10.0),
        Row(f"the same of a pass that is left early, {about}", *_said(left), " ms", 50.0, 10.0),
    ]


def _said(ms: float) -> tuple[str, str, float]:
    return f"{ms:.1f} ms", "", ms
