"""States where a pass comes to an end: behind its last batch, and where it was stopped."""

from __future__ import annotations

import json
from typing import Any

import pytest

import minipipe as mp
from tests.process.resumed import augment, interrupted, key, row, shares, whole


def fives(worker: int, n_workers: int) -> Any:
    yield from range(5)


def short_last(source: Any) -> mp.PipeLine:
    return mp.PipeLine([source, mp.Transform(row, "row", batch=3, ordered=True)])


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("source", [range(5), fives], ids=["by position", "by asking"])
def test_behind_a_last_batch_that_is_not_full_nothing_more_comes(source: Any, epochs: int) -> None:
    def make() -> mp.PipeLine:
        return short_last(mp.Source(source, "load", epochs=epochs))

    ((*_, last),) = expected = whole(make)
    assert len(json.loads(last)[1]) == 2 - (epochs > 1)
    assert interrupted(make, [len(expected[0])]) == expected


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("drain", [False, True])
def test_a_pass_that_was_stopped_is_not_over(inline: bool, drain: bool) -> None:
    def make() -> mp.PipeLine:
        work = mp.Transform(augment, "augment", ordered=True)
        return mp.PipeLine([mp.Source(shares, "load"), work]).build(inline=inline)

    (expected,) = whole(make)
    pline, got = make(), []
    for item in pline.run(seed=7):
        got.append(key(item))
        if len(got) == 5:
            pline.stop(drain=drain)
    state = pline.state_dict()
    assert state["delivered"] == len(got) >= 5
    pline.close()
    assert pline.state_dict() == state
    other = make()
    other.load_state_dict(json.loads(json.dumps(state)))
    assert got + [key(item) for item in other] == expected
    other.stop()
    assert other.state_dict()["delivered"] is None  # it was over by then
