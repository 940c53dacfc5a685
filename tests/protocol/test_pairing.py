"""Pairing the parts of items, against a plain dictionary."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minipipe.protocol.delivery.pairing import Pairing

INPUTS = 3
ORIGINS = st.integers(1, 2)
PREFIXES = st.sampled_from(((), (0,), (0, 1)))


class PairingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pairing = Pairing(INPUTS)
        self.parts: dict[tuple[int, int, tuple[int, ...]], dict[int, object]] = {}
        self.marks = {1: 0, 2: 0}

    @rule(input=st.integers(0, INPUTS - 1), origin=ORIGINS, ahead=st.integers(0, 6), at=PREFIXES)
    def add(self, input: int, origin: int, ahead: int, at: tuple[int, ...]) -> None:
        number = self.marks[origin] + ahead
        parts = self.parts.setdefault((origin, number, at), {})
        item = (input, origin, number, at)
        if input in parts:
            with pytest.raises(ValueError, match="twice"):
                self.pairing.add(input, origin, number, at, item)
            return
        parts[input] = item
        whole = self.pairing.add(input, origin, number, at, item)
        if len(parts) < INPUTS:
            assert whole is None
        else:
            assert whole == tuple((i, origin, number, at) for i in range(INPUTS))
            del self.parts[origin, number, at]

    @precondition(lambda self: self.parts)
    @rule(data=st.data())
    def complete_one(self, data: st.DataObject) -> None:
        origin, number, at = data.draw(st.sampled_from(sorted(self.parts)))
        for input in set(range(INPUTS)) - self.parts[origin, number, at].keys():
            self.add(input, origin, number - self.marks[origin], at)

    @rule(origin=ORIGINS, by=st.integers(-3, 5))
    def mark(self, origin: int, by: int) -> None:
        number = max(0, self.marks[origin] + by)
        gone = [key for key in self.parts if key[0] == origin and key[1] < number]
        assert self.pairing.mark(origin, number) == sum(len(self.parts.pop(key)) for key in gone)
        self.marks[origin] = max(self.marks[origin], number)

    @invariant()
    def it_holds_what_is_neither_whole_nor_passed(self) -> None:
        assert self.pairing.held == sum(len(parts) for parts in self.parts.values())


TestPairingIsADictionary = PairingMachine.TestCase
TestPairingIsADictionary.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@given(st.permutations([(i, n) for i in range(2) for n in range(8)]))
@settings(max_examples=30, deadline=None)
def test_every_item_gets_whole_whatever_order_its_parts_come_in(order) -> None:
    pairing = Pairing(2)
    whole = [pairing.add(i, 1, n, (), (i, n)) for i, n in order]
    assert sorted(w for w in whole if w) == [((0, n), (1, n)) for n in range(8)]
    assert pairing.held == 0


def test_parts_come_out_in_order_of_the_inputs() -> None:
    pairing = Pairing(3)
    assert pairing.add(2, 1, 0, (), "c") is None
    assert pairing.add(0, 1, 0, (), "a") is None
    assert pairing.add(1, 1, 0, (), "b") == ("a", "b", "c")


def test_none_and_arrays_are_items_as_any() -> None:
    pairing = Pairing(2)
    array = np.zeros(3)
    assert pairing.add(0, 1, 0, (), None) is None
    assert pairing.add(1, 1, 0, (), array) == (None, array)


def test_items_of_other_senders_numbers_and_prefixes_are_others() -> None:
    pairing = Pairing(2)
    pairing.add(0, 1, 0, (), "a")
    assert pairing.add(1, 2, 0, (), "b") is None
    assert pairing.add(1, 1, 1, (), "c") is None
    assert pairing.add(1, 1, 0, (0,), "d") is None
    assert pairing.held == 4


def test_a_part_whose_partner_was_dropped_is_let_go_at_the_mark() -> None:
    pairing = Pairing(2)
    pairing.add(0, 1, 3, (), "a")
    assert pairing.mark(1, 3) == 0
    assert pairing.mark(1, 4) == 1
    assert pairing.held == 0


def test_a_mark_lets_go_of_nothing_of_other_senders() -> None:
    pairing = Pairing(2)
    pairing.add(0, 1, 0, (), "a")
    assert pairing.mark(2, 10) == 0
    assert pairing.held == 1


def test_a_late_lower_mark_is_ignored() -> None:
    pairing = Pairing(2)
    pairing.mark(1, 5)
    assert pairing.mark(1, 3) == 0
    with pytest.raises(ValueError, match="below 5"):
        pairing.add(0, 1, 4, (), "a")


def test_a_part_below_the_mark_is_an_error() -> None:
    pairing = Pairing(2)
    pairing.mark(1, 5)
    with pytest.raises(ValueError, match=r"item 4 of worker 1, .* below 5"):
        pairing.add(0, 1, 4, (), "a")
    assert pairing.held == 0


def test_a_join_of_one_input_holds_nothing() -> None:
    pairing = Pairing(1)
    assert pairing.add(0, 1, 0, (), "a") == ("a",)
    assert pairing.held == 0


def test_a_join_needs_an_input() -> None:
    with pytest.raises(ValueError, match="got 0"):
        Pairing(0)


@pytest.mark.parametrize("input", [-1, 2])
def test_an_input_that_the_join_does_not_have_is_an_error(input: int) -> None:
    with pytest.raises(ValueError, match=f"input {input} of a join that has 2"):
        Pairing(2).add(input, 1, 0, (), "a")


class Part:
    """An item that can be seen to be gone."""


def test_nothing_is_kept_of_what_is_whole_while_one_straggler_is_held() -> None:
    pairing = Pairing(2)
    pairing.add(0, 1, 0, (), "straggler")
    gone = []
    for number in range(1, 2000):
        part = Part()
        gone.append(weakref.ref(part))
        pairing.add(0, 1, number, (), part)
        del part
        pairing.add(1, 1, number, (), None)
    gc.collect()
    assert all(part() is None for part in gone)
    assert pairing.held == 1
    assert len(pairing._origins[1].heap) < 100
