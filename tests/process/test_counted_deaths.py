"""Poison that is left out, however much of it there is."""

from __future__ import annotations

import os

import minipipe as mp


def test_items_that_are_set_aside_do_not_use_up_the_restarts() -> None:
    def dies(item: int) -> int:
        if item % 10 == 5:
            os._exit(1)
        return item

    pline = mp.PipeLine([mp.Source(range(40)), mp.Transform(dies, poison="skip", max_restarts=2)])
    assert sorted(pline) == [item for item in range(40) if item % 10 != 5]
