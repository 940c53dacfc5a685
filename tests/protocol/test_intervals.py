"""Sets of item numbers, against a plain set."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from minipipe.protocol.delivery.intervals import IntervalSet, runs_of

NUMBERS = st.integers(-5, 40)
INTERVALS = st.tuples(NUMBERS, st.integers(-2, 12)).map(lambda t: (t[0], t[0] + t[1]))


class IntervalSetMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.real = IntervalSet()
        self.model: set[int] = set()

    @rule(interval=INTERVALS)
    def add(self, interval: tuple[int, int]) -> None:
        self.real.add(*interval)
        self.model.update(range(*interval))

    @rule(interval=INTERVALS)
    def covers(self, interval: tuple[int, int]) -> None:
        assert self.real.covers(*interval) == self.model.issuperset(range(*interval))

    @rule(number=NUMBERS)
    def contains(self, number: int) -> None:
        assert (number in self.real) == (number in self.model)

    @invariant()
    def same(self) -> None:
        assert list(self.real) == runs_of(sorted(self.model))
        assert len(self.real) == len(self.model)
        assert bool(self.real) == bool(self.model)

    @invariant()
    def sorted_disjoint_and_not_touching(self) -> None:
        edges = [edge for interval in self.real for edge in interval]
        assert all(a < b for a, b in pairwise(edges))


TestIntervalSetIsASet = IntervalSetMachine.TestCase
TestIntervalSetIsASet.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@given(st.lists(INTERVALS, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_adding_does_not_matter(intervals: list[tuple[int, int]], random) -> None:
    shuffled = list(intervals)
    random.shuffle(shuffled)
    assert IntervalSet(intervals) == IntervalSet(shuffled)


@given(st.sets(st.integers(0, 30)))
@settings(max_examples=60, deadline=None)
def test_runs_of_ascending_numbers_are_maximal_and_hold_just_these(numbers: set[int]) -> None:
    runs = runs_of(sorted(numbers))
    assert [n for first, stop in runs for n in range(first, stop)] == sorted(numbers)
    assert all(a[1] < b[0] for a, b in pairwise(runs))


def test_runs_of_takes_any_iterable_and_nothing_gives_nothing() -> None:
    assert runs_of(iter([3, 4, 5, 9])) == [(3, 6), (9, 10)]
    assert runs_of([]) == []


def test_an_empty_interval_adds_nothing_and_is_always_covered() -> None:
    numbers = IntervalSet()
    numbers.add(5, 5)
    numbers.add(7, 3)
    assert not numbers
    assert numbers.covers(5, 5)
    assert numbers.covers(7, 3)


def test_an_interval_that_fills_the_gap_joins_its_neighbours() -> None:
    numbers = IntervalSet([(0, 3), (5, 8), (10, 12)])
    numbers.add(3, 10)
    assert list(numbers) == [(0, 12)]


def test_touching_intervals_become_one() -> None:
    assert list(IntervalSet([(0, 3), (3, 5)])) == [(0, 5)]
    assert list(IntervalSet([(3, 5), (0, 3)])) == [(0, 5)]


def test_adding_while_iterating_does_not_disturb_the_iteration() -> None:
    numbers = IntervalSet([(0, 1), (5, 6)])
    seen = []
    for interval in numbers:
        seen.append(interval)
        numbers.add(0, 20)
    assert seen == [(0, 1), (5, 6)]


def test_an_interval_set_equals_only_interval_sets() -> None:
    assert IntervalSet([(0, 2)]) == IntervalSet([(0, 1), (1, 2)])
    assert IntervalSet([(0, 2)]) != IntervalSet([(0, 3)])
    assert IntervalSet([(0, 2)]) != [(0, 2)]


def test_an_interval_set_cannot_be_a_key() -> None:
    with pytest.raises(TypeError, match="cannot be a key"):
        hash(IntervalSet())


def test_repr_shows_the_intervals() -> None:
    assert repr(IntervalSet([(0, 2), (4, 5)])) == "IntervalSet([(0, 2), (4, 5)])"


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8))), st.integers(0, 40))
def test_what_is_missing_of_an_interval_is_all_that_is_not_in_the_set(added, first) -> None:
    numbers = IntervalSet((low, low + count) for low, count in added)
    for stop in range(first, 45):
        gaps = numbers.missing(first, stop)
        missing = [n for low, high in gaps for n in range(low, high)]
        assert missing == [n for n in range(first, stop) if n not in numbers]
