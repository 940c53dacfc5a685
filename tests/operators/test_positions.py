"""Items of a Source that are gone past by their position."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.operators.positions import go_past
from minipipe.segments.items_of import ItemsOf


class Listed(list[int]):
    """A list of a class of its own."""


class Counted:
    """A map-style dataset, which says what it was asked for."""

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, []  # type: ignore[var-annotated]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> int:
        self.asked.append(i)
        return i


SEQUENCES: list[Any] = [
    list,
    tuple,
    lambda r: r,
    lambda r: range(2**70, 2**70 + len(r)),
    lambda r: np.arange(len(r)),
    lambda r: bytes(r),
    lambda r: "".join(map(str, r)),
    Listed,
]


@pytest.mark.parametrize("make", SEQUENCES)
@given(length=st.integers(0, 9), count=st.integers(0, 12))
def test_of_sequences_the_rest_comes(make: Any, length: int, count: int) -> None:
    sequence = make(range(length))
    iterator = iter(sequence)
    assert go_past(iterator, count) == min(count, length)
    assert list(iterator) == list(sequence)[count:]


@pytest.mark.parametrize("make", SEQUENCES)
@given(length=st.integers(0, 9), taken=st.integers(0, 9), count=st.integers(0, 12))
def test_where_some_were_taken_those_behind_them_count(
    make: Any, length: int, taken: int, count: int
) -> None:
    sequence = make(range(length))
    iterator = iter(sequence)
    for _ in zip(range(taken), iterator, strict=False):
        pass
    behind = list(sequence)[taken:]
    assert go_past(iterator, count) == min(count, len(behind))
    assert list(iterator) == behind[count:]


@given(length=st.integers(0, 9), count=st.integers(0, 12))
def test_of_a_dataset_nothing_is_asked_for(length: int, count: int) -> None:
    dataset = Counted(length)
    iterator = ItemsOf(dataset)
    assert go_past(iterator, count) == min(count, length)
    assert list(iterator) == dataset.asked == list(range(length))[count:]


@pytest.mark.parametrize(
    "iterator",
    [
        iter({1: 2}),
        iter({1, 2}),
        iter(deque([1, 2])),
        reversed([1, 2]),
        (i for i in range(3)),
        iter(int, 1),
        map(int, "12"),
        iter(array("b", [1, 2])),
    ],
)
def test_others_are_left_alone(iterator: Iterator[Any]) -> None:
    assert go_past(iterator, 1) is None
    next(iterator)


def test_one_without_a_length_is_left_alone() -> None:
    class Endless:
        def __getitem__(self, i: int) -> int:
            return i

    iterator = iter(Endless())
    assert go_past(iterator, 5) is None
    assert next(iterator) == 0


def test_an_iterator_of_a_users_may_have_positions() -> None:
    class Records:
        at = 0

        def __iter__(self) -> Records:
            return self

        def __next__(self) -> int:
            self.at += 1
            return self.at - 1

        def go_past(self, count: int) -> int:
            self.at += count
            return count

    records = Records()
    assert go_past(records, 1000) == 1000
    assert next(records) == 1000


@pytest.mark.parametrize("said", [None, -1, 6, "5", 5.0, True])
def test_one_that_does_not_say_how_many_it_went_past_is_named(said: Any) -> None:
    class Forgetful:
        def __iter__(self) -> Forgetful:
            return self

        def __next__(self) -> int:
            return 0

        def go_past(self, count: int) -> Any:
            return said

    with pytest.raises(TypeError, match=r"go_past\(5\) of a Forgetful returns how many"):
        go_past(Forgetful(), 5)
