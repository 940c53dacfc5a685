"""Small items through Source, Transform and Sink, beside multiprocessing.Pool.imap."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import minipipe as mp
from benchmarks.row import Row

REPEATS = 5
POOL_ITEMS = 20_000


def ints(count: int) -> Iterator[int]:
    yield from range(count)


def arrays(count: int) -> Iterator[np.ndarray[Any, Any]]:
    """100 bytes each; made beforehand, since making one costs as much as sending it."""
    made = [np.full(25, i, dtype=np.float32) for i in range(64)]
    for i in range(count):
        yield made[i % 64]


def same(item: Any) -> Any:
    return item


class Clock:
    """Counts, from when the first item came: the start-up does not count."""

    def local_init(self) -> None:
        self.count = 0

    def run(self, item: Any) -> None:
        if not self.count:
            self.first_s = time.monotonic()
        self.count += 1

    def local_term(self) -> tuple[int, float]:
        return self.count, time.monotonic() - self.first_s


def ours(source: Callable[[int], Iterator[Any]], count: int) -> float:
    pline = mp.PipeLine(
        [mp.Source(lambda: source(count)), mp.Transform(same), mp.Sink(Clock(), "clock")]
    )
    pline.build(log_lvl="WARNING")
    seen, took_s = pline.run().close()["clock"]
    assert seen == count
    return float(count / took_s)


def pools(source: Callable[[int], Iterator[Any]], count: int) -> float:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        results = pool.imap(same, source(count))
        next(results)
        began_s = time.monotonic()
        for _ in results:
            pass
        return (count - 1) / (time.monotonic() - began_s)


def rows() -> list[Row]:
    """Items a second, alternating with the peer; the median of the ratios."""
    table = []
    for name, source, count, goal in (
        ("an int", ints, 600_000, 300_000),
        ("a 100-byte array", arrays, 300_000, 150_000),
    ):
        pairs = [(ours(source, count), pools(source, POOL_ITEMS)) for _ in range(REPEATS)]
        rate = statistics.median(a for a, _ in pairs)
        peer = statistics.median(b for _, b in pairs)
        ratio = statistics.median(a / b for a, b in pairs)
        table.append(
            Row(
                f"{name} through three segments",
                f"{rate:,.0f} /s (goal {goal:,})",
                f"Pool.imap {peer:,.0f} /s",
                ratio,
                "x",
                10.0,
                None,
                larger_is_better=True,
            )
        )
    return table
