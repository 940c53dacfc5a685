"""How many failures a segment may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.pure.budget import LEAST_ITEMS, Budget


@given(st.integers(0, 10), st.lists(st.integers(0, 30), max_size=40))
def test_a_count_is_used_up_by_one_failure_more_each_item_counting_once(limit, items) -> None:
    budget = Budget(limit)
    for i, item in enumerate(items):
        assert budget.failed(item) == (item not in items[:i])
        assert budget.failures == len(set(items[: i + 1]))
        assert budget.is_used_up(i + 1) == (budget.failures > limit)


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
    for item in range(failures):
        budget.failed(item)
    assert budget.is_used_up(items) == used_up


def test_at_the_end_a_share_is_judged_whatever_there_was() -> None:
    budget = Budget(0.1)
    budget.failed("only")
    assert not budget.is_used_up(9)
    assert budget.is_used_up(9, final=True)
    assert not budget.is_used_up(10, final=True)
    assert str(budget) == "max_failures=0.1"
