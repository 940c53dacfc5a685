"""How often the workers of a run wake up that has nothing to do, or whose functors are long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import minipipe as mp
from benchmarks.cpu import switches
from benchmarks.row import Row

WORKERS = 16
SECONDS = 5.0


def of_workers(source: Callable[[], Iterator[int]], work: Callable[[int], int]) -> float:
    """Wake-ups of a worker in a second, all threads together (ZeroMQ's, too)."""
    pline = mp.PipeLine([mp.Source(source, "load")])
    pline.add(mp.Transform(work, "work", n_processes=WORKERS))
    pline.add(mp.Sink(lambda x: None, "keep"))
    pline.build(log_lvl="WARNING")
    pline.run()
    while pline.stats()["keep"].items_in < WORKERS:
        time.sleep(0.05)
    time.sleep(2.0)
    pids = [worker.pid for worker in pline.stats().segment("work")]
    before = switches(pids)
    time.sleep(SECONDS)
    count = switches(pids) - before
    pline.stop()
    return count / SECONDS / WORKERS


def idle() -> Iterator[int]:
    yield from range(2 * WORKERS)
    time.sleep(60)


def busy() -> Iterator[int]:
    yield from range(1000 * WORKERS)


def a_second(item: int) -> int:
    time.sleep(1.0)
    return item


def rows() -> list[Row]:
    """A bound each."""
    found = (
        ("of an idle run", of_workers(idle, abs), 2.0),
        ("in functors of 1 s", of_workers(busy, a_second), 5.0),
    )
    return [
        Row(
            f"wake-ups of a worker in a second, {WORKERS} {what}",
            f"{count:.1f}",
            "",
            count,
            " /s",
            must,
            None,
        )
        for what, count, must in found
    ]
