"""The parcel under way: whatever is done to it, each token keeps its number and its keys."""

from __future__ import annotations

import random
from typing import Any

import pytest

from minipipe.protocol.delivery.intervals import runs_of
from minipipe.stream.pending import Pending

JOINS = (4, 7)


@pytest.mark.parametrize("joins", [(), JOINS])
@pytest.mark.parametrize("numbered", [True, False])
def test_tokens_numbers_and_keys_stay_together(joins: tuple[int, ...], numbered: bool) -> None:
    rng = random.Random(3)
    pending = Pending(joins, numbered=numbered)
    expected: list[tuple[Any, int, tuple[Any, ...]]] = []
    for number in range(400):
        keys = tuple((join, number) for join in joins)
        token = rng.choice((number, str(number), None))
        pending.append(token, 0, number, keys)
        expected.append((token, number, keys))
        if rng.random() < 0.3:
            count = rng.randint(0, len(expected))
            gone, expected = expected[:count], expected[count:]
            assert pending.tokens[:count] == [token for token, _, _ in gone]
            numbers = [number for _, number, _ in gone] if numbered else []
            assert pending.numbers(count) == runs_of(numbers)
            assert [list(known) for _, known in pending.keys(count)] == [
                [keys[i] for _, _, keys in gone] for i in range(len(joins))
            ]
            pending.drop_oldest(count, pending.size_bytes)


def test_numbers_may_be_added_by_the_quick_ways() -> None:
    bare, numbered = Pending((), numbered=False), Pending((), numbered=True)
    add = bare.append_bare
    for number in range(3):
        add(number)
        numbered.append_bare(10 + number)
        numbered.append_number(number)
    bare.drop_oldest(3, 0)  # a flush, while a loop holds what it adds by
    numbered.drop_oldest(2, 0)
    add(3)
    numbered.append("three", 5, 3)
    assert bare.tokens == [3]
    assert (numbered.tokens, numbered.numbers(2)) == ([12, "three"], [(2, 4)])


def test_a_token_without_the_keys_that_a_join_needs_is_refused() -> None:
    pending = Pending(JOINS, numbered=False)
    with pytest.raises(ValueError, match="shorter"):
        pending.append(1, 0)


def test_tombstones_are_counted_with_the_tokens_that_are_sent() -> None:
    pending = Pending((), numbered=False)
    for token in (None, 1, None, None):
        pending.append(token, 0)
    assert pending.drop_oldest(2, 0) == 1
    assert pending.tombstones == 2
    assert pending.drop_oldest(2, 0) == 2
    assert pending.tombstones == 0
