"""What happens often is told in full only now and then."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.run.thinning import EVERY_S, SAID, EverRarer, Sampling


@given(st.lists(st.floats(0, 0.3), max_size=200), st.integers(1, 3))
def test_reports_in_full_are_the_first_and_then_few_in_any_time(gaps, few) -> None:
    sampling, now_s, picked = Sampling(few), 100.0, []
    for i, gap_s in enumerate(gaps):
        now_s += gap_s
        if sampling.picks(now_s):
            picked.append(now_s)
        else:
            assert i >= SAID
    for begin_s in picked[SAID:]:
        within = [at_s for at_s in picked[SAID:] if begin_s <= at_s < begin_s + EVERY_S]
        assert len(within) <= 2 * few


def test_what_happens_seldom_is_always_reported_in_full() -> None:
    sampling = Sampling(1)
    assert all(sampling.picks(i * 2 * EVERY_S) for i in range(1000))


@given(st.lists(st.integers(1, 1000), max_size=300))
def test_log_lines_grow_with_the_logarithm_of_what_they_stand_for(counts) -> None:
    rarer, said = EverRarer(), 0
    for count in counts:
        rarer.more(count)
        said += rarer.is_due()
        assert not rarer.is_due()
    assert rarer.count == sum(counts)
    assert said <= SAID + rarer.count.bit_length()
    assert said >= min(len(counts), 1)
