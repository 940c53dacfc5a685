"""For how long something was so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.flow.stopwatch import Stopwatch


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=20))
def test_it_adds_up_the_times_in_which_it_was_so(looks: list[tuple[bool, int]]) -> None:
    stopwatch, now, expected = Stopwatch(), 0, 0
    for is_so, lasts in looks:
        stopwatch.look(is_so, now)
        now += lasts
        expected += lasts * is_so
        assert stopwatch.total_s(now) == expected
