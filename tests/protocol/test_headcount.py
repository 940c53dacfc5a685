"""How many workers there are around one worker, and what follows from that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.delivery.headcount import Headcount, InletCounts
from minipipe.protocol.wiring import InletSpec, OutletSpec, Role

SOURCE, STATE, FIRST, SECOND, SINK = range(5)
INLET = InletSpec(
    stream=0,
    name="s",
    region=0,
    role=Role.STATEFUL,
    feeders="",
    producers=frozenset({FIRST, SECOND}),
    closers=frozenset({SOURCE, STATE}),
    region_senders=frozenset({SOURCE, STATE}),
    rivals=frozenset({SINK}),
    buffer_size=None,
    loop=frozenset({STATE, SINK}),
    unforked=True,
    region_receivers=frozenset({SINK}),
)
OUTLET = OutletSpec(
    stream=0,
    name="s",
    region=0,
    groups=(frozenset({SINK}),),
    receivers=frozenset({SINK}),
    is_sender=True,
    ledger_bytes=1,
    holders=frozenset({FIRST, SECOND, SINK}),
)


def test_nothing_has_ended_before_anybody_has_said_how_many_there_are() -> None:
    assert not Headcount().at_inlet(INLET).all_closed(0)
    assert not InletCounts().all_closed(0)


def test_a_stream_has_ended_when_all_its_senders_have_closed() -> None:
    counts = Headcount({SOURCE: 2, STATE: 1}).at_inlet(INLET)
    assert [counts.all_closed(closed) for closed in range(4)] == [False, False, False, True]
    assert counts.outer_senders == 2  # the others are in its own loop


@pytest.mark.parametrize("sinks", [1, 2])
def test_only_one_that_is_alone_gets_all_numbers(sinks: int) -> None:
    counts = Headcount({SINK: sinks}).at_inlet(INLET)
    assert counts.is_alone == counts.is_gapless == (sinks == 1)
    assert not Headcount({SINK: sinks}).at_inlet(replace(INLET, unforked=False)).is_gapless


def test_whoever_may_hold_items_has_room_in_the_ledger() -> None:
    assert Headcount({FIRST: 3, SECOND: 1, SINK: 2, SOURCE: 9}).ledger_items(OUTLET) == 14


TOLD = st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), max_size=3), max_size=8)


@given(TOLD)
@settings(max_examples=100, deadline=None)
def test_what_was_told_last_of_each_segment_counts(told: list[list[tuple[int, int]]]) -> None:
    headcount = Headcount()
    last: dict[int, int] = {}
    for counts in told:
        headcount.told(counts)
        last |= dict(counts)
        at_inlet = headcount.at_inlet(INLET)
        assert at_inlet.senders == last.get(SOURCE, 0) + last.get(STATE, 0)
        assert at_inlet.producers == max(1, last.get(FIRST, 0) + last.get(SECOND, 0))
        assert at_inlet.is_alone == (last.get(SINK) == 1)
