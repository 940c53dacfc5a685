"""Bundles of items: which items are in which, however few of them are left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.delivery.bundles import Bundling, bundles_of, cut, of_bundles, split
from minipipe.protocol.delivery.intervals import runs_of

SIZES = st.integers(1, 9)


@st.composite
def dealt(draw: st.DrawFn) -> tuple[int, list[list[int]]]:
    """A size, and what is left of some bundles, in any order of these."""
    size = draw(SIZES)
    numbers = draw(st.lists(st.integers(0, 30), unique=True, max_size=8))
    left = []
    for number in numbers:
        items = st.sampled_from(range(number * size, (number + 1) * size))
        left.append(sorted(draw(st.lists(items, unique=True, min_size=1))))
    return size, left


@given(dealt())
def test_items_are_taken_apart_into_the_bundles_they_were_put_together_from(
    given_: tuple[int, list[list[int]]],
) -> None:
    size, left = given_
    members = runs_of(number for bundle in left for number in bundle)
    assert [list(numbers) for numbers in split(members, size)] == left
    numbers = [n for first, stop in bundles_of(members, size) for n in range(first, stop)]
    assert numbers == [bundle[0] // size for bundle in left]


@given(dealt(), st.integers(0, 12))
def test_a_cut_takes_whole_bundles(given_: tuple[int, list[list[int]]], count: int) -> None:
    size, left = given_
    numbers = [number for bundle in left for number in bundle]
    assert cut(numbers, size, count) == sum(map(len, left[:count]))


@given(SIZES, st.integers(0, 20), st.integers(1, 60), st.data())
def test_a_part_of_what_was_sent_has_the_items_of_its_bundles(
    size: int, begin: int, count: int, data: st.DataObject
) -> None:
    members = (begin * size, begin * size + count)
    whole = [list(numbers) for numbers in split([members], size)]
    first = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(first + 1, len(whole)))
    low, high = of_bundles(begin + first, begin + stop, size, members)
    assert list(range(low, high)) == [n for numbers in whole[first:stop] for n in numbers]


def test_whoever_takes_bundles_knows_items_and_the_others_batches() -> None:
    bundling = Bundling(64, drops_last=False, takers=frozenset({3}))
    assert bundling.settled_as(3, 130) == 2
    assert bundling.settled_as(4, 2) == 2
