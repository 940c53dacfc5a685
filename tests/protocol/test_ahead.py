"""How far a sender is ahead, against a list of all parcels ever sent."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minipipe.protocol.delivery.ahead import MAX_AHEAD_ITEMS, Ahead

LIMIT_BYTES = 1000
MIN_ITEMS = 4
RECEIVERS = (5, 6, 7)


class AheadMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ahead = Ahead(limit_bytes=LIMIT_BYTES, min_items=MIN_ITEMS)
        self.parcels: list[tuple[range, int]] = []
        self.sent = 0
        self.at: dict[int, int] = {}
        for receiver in RECEIVERS:
            self.ahead.expect(receiver)
            self.at[receiver] = 0

    @rule(count=st.integers(1, 6), size_bytes=st.integers(0, 700))
    def send(self, count: int, size_bytes: int) -> None:
        self.parcels.append((range(self.sent, self.sent + count), size_bytes))
        self.sent += count
        self.ahead.sent(self.sent, count, size_bytes)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), receiver=st.sampled_from(RECEIVERS))
    def report(self, data: st.DataObject, receiver: int) -> None:
        number = data.draw(st.integers(0, self.sent))
        self.ahead.low_watermark(receiver, number)
        self.at[receiver] = max(self.at[receiver], number)

    @precondition(lambda self: self.sent)
    @rule()
    def everybody_reports_everything(self) -> None:
        for receiver in RECEIVERS:
            self.ahead.low_watermark(receiver, self.sent)
            self.at[receiver] = self.sent

    @invariant()
    def all_parcels_that_reach_beyond_the_lowest_at_count_whole(self) -> None:
        lowest = min(self.at.values())
        beyond = [(len(r), size) for r, size in self.parcels if r.stop > lowest]
        assert self.ahead.items == sum(count for count, _ in beyond)
        assert self.ahead.size_bytes == sum(size for _, size in beyond)
        assert self.ahead.full == (
            self.ahead.items >= MIN_ITEMS and self.ahead.size_bytes >= LIMIT_BYTES
        )

    @invariant()
    def nothing_is_kept_of_what_is_behind(self) -> None:
        assert sum(count for _, count, _ in self.ahead._parcels) == self.ahead.items


TestAheadIsASumOverParcels = AheadMachine.TestCase
TestAheadIsASumOverParcels.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None
)


def ahead(*receivers: int) -> Ahead:
    made = Ahead(limit_bytes=LIMIT_BYTES, min_items=MIN_ITEMS)
    for receiver in receivers:
        made.expect(receiver)
    return made


def test_items_without_size_are_bounded_by_their_number() -> None:
    made = ahead(5)
    made.sent(MAX_AHEAD_ITEMS - 1, MAX_AHEAD_ITEMS - 1, 0)
    assert not made.full
    made.sent(MAX_AHEAD_ITEMS, 1, 0)
    assert made.full
    made.low_watermark(5, MAX_AHEAD_ITEMS - 1)
    assert not made.full


def test_a_large_item_alone_is_not_too_far_ahead() -> None:
    made = ahead(5)
    made.sent(1, 1, 10**9)
    assert not made.full


def test_the_slowest_receiver_counts() -> None:
    made = ahead(5, 6)
    made.sent(MIN_ITEMS, MIN_ITEMS, LIMIT_BYTES)
    made.low_watermark(5, MIN_ITEMS)
    assert made.full
    made.low_watermark(6, MIN_ITEMS)
    assert not made.full


def test_a_late_lower_word_changes_nothing() -> None:
    made = ahead(5)
    made.sent(MIN_ITEMS, MIN_ITEMS, LIMIT_BYTES)
    made.low_watermark(5, MIN_ITEMS)
    made.low_watermark(5, 1)
    made.sent(MIN_ITEMS + 1, 1, LIMIT_BYTES)
    assert made.items == 1


def test_a_receiver_that_is_expected_twice_keeps_its_place() -> None:
    made = ahead(5)
    made.sent(2, 2, 10)
    made.low_watermark(5, 2)
    made.expect(5)
    made.sent(3, 1, 10)
    made.low_watermark(5, 1)
    assert made.items == 1


def test_word_from_a_receiver_that_was_not_expected_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"worker 7 .* from 3 on, .* \[5, 6\]"):
        ahead(6, 5).low_watermark(7, 3)
