"""How long calls took: buckets, and the quantiles that they tell."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.run.durations import (
    BUCKETS,
    begin_ns,
    bucket_of,
    by_powers_of_four,
    plus,
    quantile_s,
    sum_s,
)

HOUR_NS = 3600 * 10**9
durations = st.integers(0, HOUR_NS)


def counted(all_ns: list[int]) -> list[int]:
    counts = [0] * BUCKETS
    for duration_ns in all_ns:
        counts[bucket_of(duration_ns)] += 1
    return counts


@given(durations)
def test_a_bucket_holds_what_lies_between_its_bounds(duration_ns: int) -> None:
    bucket = bucket_of(duration_ns)
    assert begin_ns(bucket) <= duration_ns
    assert bucket == BUCKETS - 1 or duration_ns < begin_ns(bucket + 1)


def test_each_begin_of_a_bucket_is_in_it() -> None:
    begins = [begin_ns(bucket) for bucket in range(BUCKETS)]
    assert begins == sorted(set(begins))
    assert [bucket_of(begin) for begin in begins] == list(range(BUCKETS))
    assert begins[-1] > 50 * 60 * 10**9
    assert bucket_of(2**63) == BUCKETS - 1


@given(st.lists(durations, min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_is_right_to_an_eighth(all_ns: list[int], share: float) -> None:
    exact_ns = sorted(all_ns)[max(1, math.ceil(share * len(all_ns))) - 1]
    found = quantile_s(counted(all_ns), share)
    assert found is not None
    assert abs(found * 1e9 - exact_ns) <= max(1024, exact_ns / 8 + 1)


@given(st.lists(durations), st.lists(durations))
def test_two_add_up_to_that_of_all(some: list[int], others: list[int]) -> None:
    assert plus(counted(some), counted(others)) == tuple(counted(some + others))
    assert plus((), counted(some)) == plus(counted(some), ()) == tuple(counted(some))
    total_ns = sum(some)
    assert abs(sum_s(counted(some)) * 1e9 - total_ns) <= total_ns / 8 + 1024 * len(some)


@given(st.lists(durations))
def test_what_is_below_each_bound_is_counted(all_ns: list[int]) -> None:
    for end_s, count in by_powers_of_four(counted(all_ns)):
        assert count == sum(duration_ns < round(end_s * 1e9) for duration_ns in all_ns)


def test_without_calls_there_is_none() -> None:
    assert quantile_s((), 0.5) is None
    assert quantile_s([0] * BUCKETS, 0.5) is None
    assert {count for _, count in by_powers_of_four(())} == {0}
