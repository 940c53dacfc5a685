"""Which calls may be under way at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.flow.calls import CallLimits


@given(st.integers(1, 9), st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80))
def test_never_too_many_and_a_suspect_is_alone(threads, steps) -> None:
    limits = CallLimits(threads)
    calls: list[bool] = []  # under way: whether each is a suspect
    for ends, suspect in steps:
        if ends and calls:
            limits.ended()
            calls.pop()
        elif limits.may_begin(suspect=suspect):
            assert not limits.is_full
            limits.began(suspect=suspect)
            calls.append(suspect)
        else:  # there is a reason for each refusal
            assert len(calls) == threads or any(calls) or (suspect and calls)
        assert limits.under_way == len(calls) <= threads
        assert len(calls) == 1 or not any(calls)


@given(st.integers(1, 9), st.lists(st.booleans(), min_size=1, max_size=40))
def test_whatever_waits_has_its_turn(threads, waiting) -> None:
    limits, under_way = CallLimits(threads), 0
    for suspect in waiting:
        while not limits.may_begin(suspect=suspect):
            assert under_way, "nothing is under way, and nothing may begin"
            limits.ended()
            under_way -= 1
        limits.began(suspect=suspect)
        under_way += 1
