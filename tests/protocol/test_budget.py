"""How many failures a segment may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.run.budget import LEAST_ITEMS, REMEMBERED, Budget


def run_of(i: int) -> tuple[int, int]:
    return (i, i + 1)


@given(st.integers(0, 10), st.lists(st.tuples(st.integers(1, 2), st.integers(0, 30)), max_size=40))
def test_a_count_is_used_up_by_one_failure_more_each_item_counting_once(limit, items) -> None:
    budget = Budget(limit)
    for i, (origin, number) in enumerate(items):
        new = budget.failed_at((origin, ()), [run_of(number)])
        assert new == ((origin, number) not in items[:i])
        assert budget.failures == len(set(items[: i + 1]))
        assert budget.is_used_up(i + 1) == (budget.failures > limit)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=40))
def test_of_overlapping_runs_each_item_counts_once(runs) -> None:
    budget, seen = Budget(9), set()
    for first, count in runs:
        numbers = set(range(first, first + count))
        assert budget.failed_at("a", [(first, first + count)]) == len(numbers - seen)
        seen |= numbers
    assert budget.failures == len(seen)


def test_what_failed_lately_is_remembered_and_no_more_than_that() -> None:
    budget = Budget(0.9)
    many = 5 * REMEMBERED
    for i in range(many):  # every other item fails, so no two make one run
        assert budget.failed_at("a", [run_of(2 * i)]) == 1
    assert budget.failures == many
    assert budget.failed_at("a", [run_of(2 * i) for i in range(many - REMEMBERED, many)]) == 0
    kept = [*budget._young.values(), *budget._old.values()]
    assert sum(len(list(numbers)) for numbers in kept) <= 2 * REMEMBERED + 1


def test_items_that_cannot_be_done_again_are_counted_and_not_remembered() -> None:
    budget = Budget(3)
    budget.failed()
    budget.failed(2)
    assert (budget.failures, budget.is_used_up(3)) == (3, False)
    budget.failed()
    assert budget.is_used_up(4)
    assert not budget._young


def test_the_first_failures_are_said_one_by_one_then_each_time_they_have_doubled() -> None:
    budget, said = Budget(0.9), []
    for i in range(1, 101):
        budget.failed()
        if budget.should_log():
            said.append(i)
        assert not budget.should_log()
    assert said == [*range(1, 11), 16, 32, 64]


@pytest.mark.parametrize(
    ("share", "items", "failures", "used_up"),
    [
        (0.01, 99, 99, False),  # too early to say
        (0.01, 100, 1, False),
        (0.01, 100, 2, True),
        (0.5, 99, 99, False),
        (0.5, LEAST_ITEMS, 51, True),
        (0.001, 999, 1, False),  # one in a thousand would be within it
        (0.001, 1000, 1, False),
        (0.001, 1000, 2, True),
    ],
)
def test_a_share_is_judged_when_there_is_enough_to_judge(share, items, failures, used_up) -> None:
    budget = Budget(share)
    budget.failed(failures)
    assert budget.is_used_up(items) == used_up


def test_at_the_end_a_share_is_judged_whatever_there_was() -> None:
    budget = Budget(0.1)
    budget.failed()
    assert not budget.is_used_up(9)
    assert budget.is_used_up(9, final=True)
    assert not budget.is_used_up(10, final=True)
    assert str(budget) == "max_failures=0.1"
