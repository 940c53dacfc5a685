"""The README's example with sleeps: nothing but the framework costs time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import minipipe as mp
from benchmarks.row import Row

ITEMS = 10


def load() -> Iterator[int]:
    for i in range(ITEMS):
        time.sleep(0.5)
        yield i


def transform(item: int) -> int:
    time.sleep(1.0)
    return item


def save(item: int) -> None:
    time.sleep(0.5)


def seconds(n_processes: int) -> float:
    pline = mp.PipeLine([mp.Source(load)])
    pline.add(mp.Transform(transform), n_processes=n_processes)
    pline.add(mp.Sink(save))
    pline.build(log_lvl="WARNING")
    began_s = time.monotonic()
    pline.run()
    pline.close()
    return time.monotonic() - began_s


def rows() -> list[Row]:
    """With one and with two transform processes, beside the sum of the sleeps."""
    table = []
    for n, ideal_s in ((1, 11.0), (2, 6.5)):
        took_s = seconds(n)
        table.append(
            Row(
                f"sleeps of 0.5, 1.0, 0.5 s, {ITEMS} items, {n} transform process(es)",
                f"{took_s:.2f} s",
                f"ideal {ideal_s} s",
                took_s - ideal_s,
                " s more",
                0.7,
                None,
            )
        )
    return table
