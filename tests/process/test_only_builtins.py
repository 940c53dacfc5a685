"""Functors that run no Python: in a compiled core there is then none between items at all.

Python looks for signals, and lets other threads run, between bytecodes.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterable

import minipipe as mp
from tests.conftest import wait_until

ITEMS = 600_000


def of(items: Iterable[int]) -> mp.PipeLine:
    pline = mp.PipeLine([mp.Source(items, "count")])
    pline.add(mp.Transform(abs, "abs"), n_processes=2)
    pline.add(mp.Sink(bool, "bool"))
    pline.build(log_lvl="ERROR")
    return pline


def items_in(pline: mp.PipeLine) -> int:
    return int(pline.stats()["bool"].items_in)


def test_a_stop_reaches_workers_whose_functors_are_builtins() -> None:
    pline = of(itertools.count())
    pline.run()
    wait_until(lambda: items_in(pline) > 10_000, "items")
    pline.stop()
    pline.close()


def test_a_death_is_made_good_where_functors_are_builtins() -> None:
    pline = of(range(ITEMS))
    pline.run()
    wait_until(lambda: items_in(pline) > 10_000, "items")
    os.kill(next(w.pid for w in pline.stats() if w.segment == "abs" and w.pid), signal.SIGKILL)
    pline.close()
    assert items_in(pline) == ITEMS
