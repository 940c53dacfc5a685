"""Small items broadcast to four subscribers, beside the same with one."""

from __future__ import annotations

import statistics

import minipipe as mp
from benchmarks.row import Row
from benchmarks.small_items import Clock, arrays, ints

REPEATS = 5


def rate(source: object, count: int, subscribers: int) -> float:
    """Items a second at the slowest subscriber."""
    branches = {str(i): mp.Sink(Clock(), "clock") for i in range(subscribers)}
    pline = mp.PipeLine([mp.Source(lambda: source(count)), mp.Broadcast(branches)])  # type: ignore[operator]
    pline.build(log_lvl="WARNING")
    results = pline.run().close()
    assert [seen for seen, _ in results.values()] == [count] * subscribers
    return float(min(seen / took_s for seen, took_s in results.values()))


def rows() -> list[Row]:
    """Alternating; the median of the ratios."""
    table = []
    for name, source, count in (("an int", ints, 400_000), ("a 100-byte array", arrays, 150_000)):
        pairs = [(rate(source, count, 4), rate(source, count, 1)) for _ in range(REPEATS)]
        table.append(
            Row(
                f"{name} broadcast to 4 subscribers",
                f"{statistics.median(a for a, _ in pairs):,.0f} /s",
                f"to one {statistics.median(b for _, b in pairs):,.0f} /s",
                statistics.median(a / b for a, b in pairs),
                "x",
                0.5,
                None,
                larger_is_better=True,
            )
        )
    return table
