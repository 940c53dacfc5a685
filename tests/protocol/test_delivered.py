"""What a loop has got of each sender, and what a Source may therefore go past."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.delivery.delivered import MAX_GAPS, Delivered, begin_of
from minipipe.protocol.run.beginning import Beginning, Skip

ARRIVALS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), unique=True, max_size=60)


def as_set(runs: list[tuple[int, int]]) -> set[int]:
    return {number for first, stop in runs for number in range(first, stop)}


@given(ARRIVALS, st.integers(0, 5))
def test_out_of_order_exactly_what_came_is_kept(
    arrivals: list[tuple[int, int]], ahead: int
) -> None:
    delivered = Delivered(in_order=False)
    for sender, number in arrivals:
        delivered.add(sender, [(number, number + 1)])

    last = arrivals[len(arrivals) - ahead :] if ahead else []
    kept = [arrival for arrival in arrivals if arrival not in last]
    for sender, runs in delivered.numbers(last).items():
        assert as_set(runs) == {number for s, number in kept if s == sender}
        assert runs == sorted(runs) and all(a[1] < b[0] for a, b in pairwise(runs))
        assert as_set([(0, begin_of(runs))]) <= as_set(runs)
        assert begin_of(runs) not in as_set(runs)


@given(ARRIVALS, st.integers(0, 5))
def test_in_order_what_was_dropped_before_the_last_one_counts_too(
    arrivals: list[tuple[int, int]], ahead: int
) -> None:
    arrivals = sorted(arrivals, key=lambda arrival: arrival[1])
    delivered = Delivered(in_order=True)
    for sender, number in arrivals:
        delivered.add(sender, [(number, number + 1)])

    last = arrivals[len(arrivals) - ahead :] if ahead else []
    for sender, runs in delivered.numbers(last).items():
        came = [number for s, number in arrivals if s == sender and (s, number) not in last]
        not_yet = [number for s, number in last if s == sender]
        assert set(came) <= as_set(runs) and not set(not_yet) & as_set(runs)
        assert begin_of(runs) == (not_yet[0] if not_yet else came[-1] + 1)


@given(ARRIVALS)
def test_a_copy_is_apart(arrivals: list[tuple[int, int]]) -> None:
    for in_order in (False, True):
        delivered = Delivered(in_order=in_order)
        delivered.add(0, [(0, 3)])
        copied = delivered.copy()
        for sender, number in arrivals:
            copied.add(sender, [(number, number + 1)])
        assert delivered.numbers() == {0: [(0, 3)]}


def test_of_too_many_gaps_it_gives_up_and_keeps_nothing() -> None:
    delivered = Delivered(in_order=False)
    for number in range(MAX_GAPS + 1):
        assert not delivered.is_given_up
        delivered.add(0, [(2 * number, 2 * number + 1)])
    assert delivered.is_given_up and delivered.numbers() == {}


def test_a_beginning_tells_sources_what_to_go_past_or_the_loop_how_much_to_leave_out() -> None:
    numbers = {"load/0": ((0, 4), (6, 7)), "load/1": ((2, 3),)}
    at_source = Beginning(3, delivered=6, numbers=numbers, by_position=True)
    assert at_source.skip("load/0") == Skip(3, 4, True)
    assert at_source.skip("load/1") is None and at_source.skip("load/2") is None
    assert at_source.repeats == 0
    assert Beginning(3, delivered=6).repeats == 6
    assert Beginning(drawn=5).drawn_or(8) == 5 and Beginning().drawn_or(8) == 8
