"""Several workers before several workers: no item waits behind a busy one while another idles."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from tests.process.functors import Collect, same
from tests.process.test_recovery import LIVES, briefly, survives


class Work:
    """Takes its time, and says which worker it was."""

    def __init__(self, pause_s: float, slow_s: float | None = None) -> None:
        self.pause_s = pause_s
        self.slow_s = slow_s

    def __call__(self, item: int) -> tuple[int, int]:
        info = mp.get_worker_info()
        assert info is not None
        is_slow = self.slow_s is not None and info.id == 0
        time.sleep(self.slow_s if is_slow and self.slow_s is not None else self.pause_s)
        return item, info.id


def shares(items: int, workers: int, work: Work, first: Any = same) -> Counter[int]:
    """How many items each of the workers did, that others feed."""
    pline = mp.PipeLine([mp.Source(range(items))])
    pline.add(mp.Transform(first), n_processes=workers)
    pline.add(mp.Transform(work, restart=True), n_processes=workers)
    pline.build(log_lvl="WARNING")
    pline.run()
    done = list(pline)
    pline.close()
    assert sorted(item for item, _ in done) == list(range(items))
    return Counter(worker for _, worker in done)


@pytest.mark.parametrize("workers", [4, 8])
def test_items_of_equal_length_are_shared_evenly(workers: int) -> None:
    done = shares(3 * workers, workers, Work(0.4))
    assert done == dict.fromkeys(range(workers), 3)


def test_a_worker_that_is_20_times_slower_gets_as_much_less() -> None:
    done = shares(76, 3, Work(0.05, slow_s=1.0))
    assert done[0] <= 3  # it could do two while the others do all the rest
    assert done[1] >= 20 and done[2] >= 20


def test_a_producer_that_is_long_at_work_gives_tickets_back(tmp_path: Path) -> None:
    """Else whoever left a ticket there would be idle for as long as that."""

    def first(item: int) -> int:
        if item == 0:
            deadline_s = time.monotonic() + 60
            while len(list(tmp_path.iterdir())) < 2:
                if time.monotonic() > deadline_s:
                    raise TimeoutError("a worker idles although there are items for it")
                time.sleep(0.01)
        return item

    class Tells(Work):
        def __call__(self, item: int) -> tuple[int, int]:
            done = super().__call__(item)
            (tmp_path / str(os.getpid())).touch()
            return done

    done = shares(12, 2, Tells(0.1), first)
    assert len(done) == 2


def test_every_item_arrives_once_whoever_is_killed_on_both_sides() -> None:
    def slowly(item: int) -> int:
        time.sleep(0.02)
        return item

    pline = mp.PipeLine([mp.Source(range(1_000))])
    pline.add(mp.Transform(briefly, "a", **LIVES), n_processes=8)
    pline.add(mp.Transform(slowly, "b", **LIVES), n_processes=8)
    pline.add(mp.Sink(Collect(), "keep"))
    assert sorted(survives(pline, "a", "b", kills=8)["keep"]) == list(range(1_000))
