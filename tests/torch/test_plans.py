"""What is decided without a device: what is pinned, and what is copied together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.torch.budget import PinnedBudget
from minipipe.torch.packing import SMALL_BYTES, packed


@given(
    st.integers(0, 100),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 60), st.sets(st.integers(0, 9)))),
)
def test_never_more_is_pinned_than_the_limit_and_nothing_that_is_busy_goes(
    limit: int, steps: list[tuple[int, int, set[int]]]
) -> None:
    budget: PinnedBudget[int] = PinnedBudget(limit)
    order: list[int] = []  # least recently used first
    sizes: dict[int, int] = {}
    for key, size, busy in steps:
        if key in budget:
            budget.used(key)
            order.remove(key)
            order.append(key)
            continue
        gone = budget.room_for(size, busy)
        free = limit - sum(sizes.values()) + sum(sizes[k] for k in order if k not in busy)
        if gone is None:
            assert size > free or size > limit
            continue
        assert not busy & set(gone)
        assert gone == [k for k in order if k not in busy][: len(gone)]
        if gone:  # and no more than it takes
            assert sum(sizes.values()) - sum(sizes[k] for k in gone[:-1]) + size > limit
        for other in gone:
            budget.remove(other)
            order.remove(other)
            del sizes[other]
        budget.add(key, size)
        order.append(key)
        sizes[key] = size
        assert budget.used_bytes == sum(sizes.values()) <= limit


def test_after_a_refusal_nothing_more_is_asked_for() -> None:
    budget: PinnedBudget[str] = PinnedBudget(100)
    budget.add("a", 30)
    budget.refused()
    assert budget.room_for(31, ()) is None
    assert budget.room_for(30, ()) == ["a"]
    assert budget.room_for(1, ("a",)) is None


@given(st.lists(st.integers(0, 3 * SMALL_BYTES)))
def test_each_array_is_copied_once_and_none_over_another(sizes: list[int]) -> None:
    plan = packed(sizes)
    places = [place for place, _ in plan.together] + list(plan.alone)
    assert sorted(places) == [place for place, size in enumerate(sizes) if size]
    end = 0
    for place, begin in plan.together:
        assert begin >= end and begin % 256 == 0
        assert sizes[place] <= SMALL_BYTES
        end = begin + sizes[place]
    assert plan.together_bytes == end
    assert all(sizes[place] > SMALL_BYTES for place in plan.alone)
