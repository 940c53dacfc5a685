"""Who takes too long, and whether anything moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.run.timeouts import Stall, Timeouts


@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.sampled_from((None, 1, 2))), max_size=30))
def test_a_worker_is_over_its_limit_when_it_has_been_at_one_item_for_longer(steps) -> None:
    timeouts, limit_s = Timeouts({7: 1.5}), 1.5
    now_s, since_s, last = 0.0, 0.0, None
    for gap_s, item in steps:
        now_s += gap_s
        if item != last:
            since_s, last = now_s, item
        at = {} if item is None else {7: item}
        over = timeouts.look(now_s, {**at, 8: "has no limit"})
        taken_s = now_s - since_s
        assert over == ([(7, taken_s)] if item is not None and taken_s > limit_s else [])


def test_it_is_looked_often_enough_for_the_shortest_limit() -> None:
    assert Timeouts({}).every_s is None
    assert Timeouts({1: 100.0}).every_s == 0.5
    assert Timeouts({1: 100.0, 2: 0.5}).every_s == 0.05
    assert Timeouts({1: 0.001}).every_s == 0.01


def test_who_is_gone_is_not_watched_and_who_comes_is() -> None:
    timeouts = Timeouts({1: 1.0})
    timeouts.look(0.0, {1: "item"})
    timeouts.forget(1)
    assert timeouts.look(9.0, {1: "item"}) == []
    timeouts.watch(2, 1.0)
    assert timeouts.limit_s(2) == 1.0
    assert timeouts.look(10.0, {2: "item"}) == []  # only now is it seen there
    assert timeouts.look(12.0, {2: "item"}) == [(2, 2.0)]


def test_a_stall_is_said_ever_more_rarely_and_anew_after_progress() -> None:
    stall = Stall(first_s=60.0)
    said = [(t, s) for t in range(600) if (s := stall.look(float(t), "same")) is not None]
    assert said == [(60, 60.0), (120, 120.0), (240, 240.0), (480, 480.0)]
    assert stall.look(600.0, "another") is None
    assert stall.look(659.0, "another") is None
    assert stall.look(660.0, "another") == 60.0
