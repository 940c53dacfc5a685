"""Several workers before several slow ones: do items wait behind busy ones, while others idle?"""

from __future__ import annotations

import time

import minipipe as mp
from benchmarks.row import Row

# Workers on each side, items, seconds that each takes, and what must hold.
CASES = ((8, 16, 1.0, 1.2), (4, 8, 1.0, 1.2), (8, 64, 0.25, 1.2))


def same(x: int) -> int:
    return x


class Work:
    """Sleeps, and says when."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s

    def __call__(self, item: int) -> tuple[float, float]:
        began_s = time.monotonic()
        time.sleep(self.pause_s)
        return began_s, time.monotonic()


def seconds(workers: int, items: int, pause_s: float) -> float:
    """From when the first item is begun to when the last one is finished."""
    pline = mp.PipeLine([mp.Source(range(items))])
    pline.add(mp.Transform(same), n_processes=workers)
    pline.add(mp.Transform(Work(pause_s), restart=True), n_processes=workers)
    pline.build(log_lvl="WARNING")
    pline.run()
    spans = list(pline)
    pline.close()
    return max(end_s for _, end_s in spans) - min(began_s for began_s, _ in spans)


def rows() -> list[Row]:
    """Each beside what it would take if everybody always had something to do."""
    table = []
    for workers, items, pause_s, must in CASES:
        took_s, ideal_s = seconds(workers, items, pause_s), pause_s * items / workers
        table.append(
            Row(
                f"{workers} workers feed {workers} of {pause_s:g} s, {items} items",
                f"{took_s:.2f} s",
                f"ideal {ideal_s:g} s",
                took_s / ideal_s,
                " x",
                must,
                1.05,
            )
        )
    return table
