"""Deaths of workers that had several items: who is to blame."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from minipipe.errors import PoisonError, WorkerDiedError
from minipipe.protocol.delivery.paths import Leaf
from minipipe.protocol.run.restarts import Restarts
from minipipe.protocol.run.timeouts import Timeouts
from tests.protocol.test_mending import MEMBER

SKIPS = replace(MEMBER, skips_poison=True, max_restarts=10**6)


def death() -> WorkerDiedError:
    return WorkerDiedError("work", "work", 1, "was killed by SIGKILL", "", "")


def leaf(number: int) -> Leaf:
    return (3, number, ())


def test_what_was_under_way_beside_others_is_no_poison_however_often() -> None:
    restarts = Restarts(9)
    several = tuple(leaf(n) for n in range(1, 8))
    for _ in range(5):
        assert restarts.judge(SKIPS, death(), leaf(0), 0.0, beside=several) is None
    assert restarts.found == []
    suspects = restarts.crash_suspects([SKIPS.segment])
    assert sorted(suspects) == [(SKIPS.segment, *leaf(n), 1) for n in range(8)]


def test_once_among_others_and_once_alone_is_poison() -> None:
    restarts = Restarts(9)
    member = replace(MEMBER, max_restarts=1)
    assert restarts.judge(member, death(), leaf(0), 0.0, beside=(leaf(1),)) is None
    assert isinstance(restarts.judge(member, death(), leaf(1), 1.0, known=1), PoisonError)
    skipping = replace(SKIPS, max_restarts=1)
    restarts = Restarts(9)
    for number in range(0, 10, 2):
        # Deaths by what is set aside then do not count for `max_restarts`, wherever it stood.
        both = (leaf(number), leaf(number + 1))
        assert restarts.judge(skipping, death(), both[0], 0.0, beside=both[1:]) is None
        assert restarts.judge(skipping, death(), both[1], 0.0, known=1) is None
    assert restarts.found == [leaf(n) for n in range(1, 10, 2)]


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True), max_size=60))
def test_an_item_is_poison_only_if_it_killed_a_worker_alone(deaths) -> None:
    restarts = Restarts(9)
    alone: set[int] = set()
    for numbers in deaths:
        causes = {n: c for _, _, n, _, c in restarts.crash_suspects([SKIPS.segment])}
        first, *others = (leaf(n) for n in numbers)
        if not others:
            alone.add(numbers[0])
        known = causes.get(numbers[0], 0)
        assert restarts.judge(SKIPS, death(), first, 0.0, known, beside=tuple(others)) is None
        assert {item[1] for item in restarts.found} <= alone


def test_a_call_is_over_its_limit_since_it_began_not_since_it_was_seen() -> None:
    limits = Timeouts({1: 5.0, 2: 5.0})
    assert limits.look(10.0, {1: "a", 2: "a"}, {1: 4.0}) == [(1, 6.0)]
    assert limits.look(12.0, {1: "b", 2: "a"}, {1: 9.0}) == []
    assert limits.look(14.5, {1: "b", 2: "a"}, {1: 9.0}) == [(1, 5.5)]
    assert limits.look(15.5, {1: "c", 2: "a"}, {1: 99.0}) == [(2, 5.5)]  # a clock is not trusted
