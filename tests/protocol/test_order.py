"""Receivers that take items in order, against a sender that knows what becomes of each number."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.delivery.order import Order

ALL = 2**62


def runs_of(numbers: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as intervals."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs


class Receiver:
    """One of them: checks that what is handed over is in order, and is what was added."""

    def __init__(self, *, gapless: bool) -> None:
        self.order: Order[tuple[int, ...]] = Order(gapless=gapless)
        self.got: list[int] = []

    def take(self) -> None:
        while (piece := self.order.pop()) is not None:
            assert piece.items > 0
            numbers = piece.parcel[piece.position : piece.position + piece.items]
            assert list(numbers) == list(range(piece.first, piece.first + piece.items))
            self.got.extend(numbers)
        assert self.got == sorted(set(self.got)), "out of order, or twice"


# What becomes of a number: it goes to one of the receivers, or is dropped on the way.
DROPPED = -1


@st.composite
def fates(draw: st.DrawFn, receivers: int) -> list[int]:
    return draw(st.lists(st.integers(DROPPED, receivers - 1), min_size=1, max_size=25))


@given(st.data(), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_when_it_is_handed_over_in_order(data, count: int) -> None:
    what = data.draw(fates(count))
    receivers = [Receiver(gapless=count == 1) for _ in range(count)]
    # Parcels: the numbers of one receiver, cut up anyhow; and drops one by one.
    steps: list[tuple[int, tuple[int, ...]]] = [
        (DROPPED, (n,)) for n, fate in enumerate(what) if fate == DROPPED
    ]
    for receiver in range(count):
        mine = [n for n, fate in enumerate(what) if fate == receiver]
        while mine:
            size = data.draw(st.integers(1, len(mine)))
            steps.append((receiver, tuple(mine[:size])))
            del mine[:size]
    settled: set[int] = set()
    marks = [0] * count
    for who, numbers in data.draw(st.permutations(steps)):
        if who != DROPPED:
            receivers[who].order.add(runs_of(list(numbers)), (), numbers)
        settled.update(numbers)  # what a receiver has, it confirms at once
        mark = next((n for n in range(len(what)) if n not in settled), len(what))
        for index, receiver in enumerate(receivers):
            if data.draw(st.booleans()):  # the mark may come later, or be overtaken by a new one
                marks[index] = mark
            receiver.order.marked(marks[index])
            receiver.take()
            for number in range(marks[index]):  # nothing that may go is held
                assert what[number] != index or number in receiver.got
    for index, receiver in enumerate(receivers):
        receiver.order.marked(ALL)
        receiver.take()
        assert receiver.order.lowest is None
        assert receiver.got == [n for n, fate in enumerate(what) if fate == index]


@given(st.data(), st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_whether_a_receiver_is_the_only_one_may_change_at_any_time(data, count: int) -> None:
    what = data.draw(fates(count))
    receivers = [Receiver(gapless=False) for _ in range(count)]
    settled: set[int] = set()
    for number in data.draw(st.permutations(range(len(what)))):
        if what[number] != DROPPED:
            receivers[what[number]].order.add([(number, number + 1)], (), (number,))
        settled.add(number)
        mark = next((n for n in range(len(what)) if n not in settled), len(what))
        for receiver in receivers:
            receiver.order.gapless = data.draw(st.booleans())
            if data.draw(st.booleans()):
                receiver.order.marked(mark)
            receiver.take()
    for index, receiver in enumerate(receivers):
        receiver.order.marked(ALL)
        receiver.take()
        assert receiver.got == [n for n, fate in enumerate(what) if fate == index]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=10))
def test_an_only_receiver_need_not_wait_for_marks(sizes: list[int]) -> None:
    receiver = Receiver(gapless=True)
    first = 0
    for size in sizes:
        numbers = tuple(range(first, first + size))
        receiver.order.add(runs_of(list(numbers)), (), numbers)
        receiver.take()
        first += size
        assert len(receiver.got) == first


def test_one_of_several_must_not_take_the_next_number_for_the_next_item() -> None:
    order: Order[str] = Order(gapless=False)
    order.add([(0, 1)], (), "a")
    assert order.pop() is None  # 0 is not settled yet: another attempt may still put one before
    order.marked(1)
    assert order.pop() is not None


def test_what_comes_too_late_is_noticed() -> None:
    order: Order[str] = Order(gapless=False)
    order.marked(5)
    assert order.pop() is None
    with pytest.raises(AssertionError, match="item 3 came after 4 was handed over"):
        order.add([(3, 4)], (), "a")


def test_leaves_of_one_number_come_by_their_outputs() -> None:
    order: Order[str] = Order(gapless=False)
    order.add([(0, 2)], (1,), "second")
    order.add([(0, 2)], (0,), "first")
    order.marked(2)
    pieces = []
    while (piece := order.pop()) is not None:
        pieces.append((piece.parcel, piece.first, piece.items))
    assert pieces == [("first", 0, 1), ("second", 0, 1), ("first", 1, 1), ("second", 1, 1)]


def test_a_leaf_beyond_the_mark_waits_for_another_one_of_its_number() -> None:
    order: Order[str] = Order(gapless=False)
    order.add([(0, 2)], (1,), "second")
    order.marked(1)
    assert order.pop() == ("second", 0, 0, 1)
    assert order.pop() is None
    order.add([(1, 2)], (0,), "first")
    order.marked(2)
    assert order.pop() == ("first", 0, 1, 1)
    assert order.pop() == ("second", 1, 1, 1)
