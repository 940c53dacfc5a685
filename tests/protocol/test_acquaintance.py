"""When two hosts make a link, and who goes to whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.flow.acquaintance import AGAIN_S, LONGEST_S, Acquaintance

ELDER, YOUNGER = 1, 2


def both_fall_back(two: Acquaintance, now_s: float) -> None:
    for host in (ELDER, YOUNGER):
        assert not two.is_due(now_s + LONGEST_S)
        two.fell_back(host, now_s)


def test_the_younger_one_goes_once_it_is_let_in() -> None:
    two = Acquaintance(ELDER, YOUNGER)
    assert two.is_due(0.0) and (two.lets_in, two.goes) == (ELDER, YOUNGER)
    two.begin(7)
    assert two.link == 7 and not two.is_due(1e9)
    assert [two.awaits(host) for host in (YOUNGER, ELDER, ELDER)] == [False, True, False]


def test_a_link_that_has_stood_is_made_again_the_same_way() -> None:
    two = Acquaintance(ELDER, YOUNGER)
    two.begin(1)
    two.switched()
    both_fall_back(two, 100.0)
    assert not two.is_due(100.0 + AGAIN_S - 1) and two.is_due(100.0 + AGAIN_S)
    assert two.lets_in == ELDER


def test_what_does_not_come_to_be_is_tried_the_other_way_and_then_ever_later() -> None:
    two, now_s, waited = Acquaintance(ELDER, YOUNGER), 0.0, []
    for link in range(1, 15):
        assert two.lets_in == (ELDER if link % 2 else YOUNGER)
        two.begin(link)
        both_fall_back(two, now_s)
        began_s = now_s
        while not two.is_due(now_s):
            now_s += 10.0
        waited.append(now_s - began_s)
    assert waited[::2] == [0.0] * 7
    assert waited[1::2] == [40.0, 80.0, 160.0, 320.0, LONGEST_S, LONGEST_S, LONGEST_S]


@given(
    said=st.lists(
        st.tuples(st.sampled_from(["fell_back", "switched", "awaits"]), st.integers(1, 2))
    )
)
def test_there_is_one_link_at_a_time(said: list[tuple[str, int]]) -> None:
    two, links, now_s = Acquaintance(ELDER, YOUNGER), 0, 0.0
    lost: set[int] = {ELDER, YOUNGER}
    for what, host in said:
        now_s += LONGEST_S
        assert two.is_due(now_s) is (lost == {ELDER, YOUNGER})
        if two.is_due(now_s):
            links += 1
            two.begin(links)
            lost.clear()
        if what == "fell_back":
            two.fell_back(host, now_s)
            two.fell_back(host, now_s)
            lost.add(host)
        elif what == "switched":
            two.switched()
        else:
            two.awaits(host)
        assert {two.lets_in, two.goes} == {ELDER, YOUNGER}
