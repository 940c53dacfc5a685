"""Work sharing: three workers, one of which takes 20 times as long as the others."""

from __future__ import annotations

import time

import minipipe as mp
from benchmarks.row import Row

QUICK_S = 0.01
SLOW_S = 20 * QUICK_S
ITEMS = 1000


class Work:
    """Sleeps, and notes how long that really took: what is ideal follows from it."""

    def local_init(self) -> None:
        info = mp.get_worker_info()
        assert info is not None
        self.sleep_s = SLOW_S if info.id == 0 else QUICK_S
        self.count, self.busy_s = 0, 0.0

    def __call__(self, item: int) -> int:
        began_s = time.monotonic()
        time.sleep(self.sleep_s)
        self.count += 1
        self.busy_s += time.monotonic() - began_s
        return item

    def local_term(self) -> float:
        return self.count / self.busy_s


class Span:
    """Notes when the first and the last item came."""

    def local_init(self) -> None:
        self.count = 0

    def run(self, item: int) -> None:
        self.count += 1
        self.last_s = time.monotonic()

    def local_term(self) -> tuple[int, float]:
        return self.count, self.last_s


class Numbers:
    """A source that notes when it began."""

    def run(self):
        self.began_s = time.monotonic()
        yield from range(ITEMS)

    def local_term(self) -> float:
        return self.began_s


def rows() -> list[Row]:
    """The makespan beside the ideal one."""
    pline = mp.PipeLine([mp.Source(Numbers(), "load"), mp.Transform(Work(), "work", n_processes=3)])
    pline.add(mp.Sink(Span(), "save"))
    pline.build(log_lvl="WARNING")
    results = pline.run().close()
    count, last_s = results["save"]
    assert count == ITEMS
    took_s = last_s - results["load"]
    ideal_s = ITEMS / sum(results[f"work/{i}"] for i in range(3))  # items a second, if never idle
    return [
        Row(
            "three workers, one 20 times as slow: makespan",
            f"{took_s:.2f} s",
            f"ideal {ideal_s:.2f} s",
            took_s / ideal_s,
            "x",
            1.1,
            None,
        )
    ]
