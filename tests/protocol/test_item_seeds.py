"""Seeds of items: the same for ever, and each independent of all others."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.delivery.paths import Outputs
from minipipe.protocol.item_seeds import (
    DIGEST_BYTES,
    END,
    FOR_LIBRARIES,
    FOR_NUMPY,
    FOR_RANDOM,
    FOR_RNG,
    FOR_WORKER,
    START,
    SegmentSeeds,
    in_pass,
    more,
)

Item = tuple[int, int, str, str, int, Outputs]

# Whoever changes one of these changes the results of everybody's training runs.
TABLE: list[tuple[Item, str]] = [
    ((0, 0, "augment", "load", 0, ()), "7bf352cce11b9c4e517b5790d0c91dbc"),
    ((7, 0, "augment", "load", 0, ()), "c4889d292d82aa764114dae8a8f64a44"),
    ((7, 0, "augment", "load", 1, ()), "289bbbde4442732e04871c4a1ef9c448"),
    ((7, 0, "augment", "load/1", 1, ()), "9f93513eaba74e9fddc44ed5e3fcf5cb"),
    ((7, 1, "augment", "load", 1, ()), "3f3220a1552a2748bd6cf98feee9de12"),
    ((7, 0, "crop", "load", 1, ()), "664a13ea36e7ca83cce5efb1229b8b7f"),
    ((7, 0, "augment", "load", 1, (0,)), "d45a41e8226aa41773b473d133607c2b"),
    ((7, 0, "augment", "load", 1, (1, 0)), "f94305bab7977cfbc204ba1ccbfceecc"),
    ((2**100, 0, "ä", "", 2**63, (128,)), "fa8f5274cf1f1f6b302ab8537cf0f38c"),
]


def digest(item: Item) -> bytes:
    seed, pass_number, segment, origin, number, path = item
    return SegmentSeeds(seed, pass_number, segment).items(origin, path).at(number)


@pytest.mark.parametrize(("item", "expected"), TABLE)
def test_the_seeds_of_items_stay_what_they_are(item: Item, expected: str) -> None:
    assert digest(item).hex()[:32] == expected
    assert len(digest(item)) == DIGEST_BYTES


def test_what_a_generator_of_ones_own_starts_from_in_each_pass_stays_what_it_is() -> None:
    assert [in_pass(seed, 0) for seed in (0, 7, 2**200)] == [0, 7, 2**200]
    assert in_pass(7, 1) == 61023655701573376303394961162755465347
    assert in_pass(2**200, 1) == 276799455894907728682389769193160543116
    assert len({in_pass(seed, pass_) for seed in range(20) for pass_ in range(20)}) == 400


def test_the_seeds_of_workers_and_of_further_steps_stay_what_they_are() -> None:
    seeds = SegmentSeeds(7, 0, "augment")
    assert [seeds.of_worker(0), seeds.of_worker(1)] == [3468299902, 2418043725]
    assert seeds.outside(0, END).hex()[:32] == "ee259dac61252cb98508570143140a5d"
    assert more(digest(TABLE[1][0]), 1).hex()[:32] == "0f1a121728f73120801b5b1ff22ee279"


ITEMS: st.SearchStrategy[Any] = st.tuples(
    st.integers(0, 2**70),
    st.integers(0, 3),
    st.text(max_size=3),
    st.text(max_size=3),
    st.integers(0, 2**63),
    st.lists(st.integers(0, 300), max_size=3).map(tuple),
)


@given(ITEMS, ITEMS)
def test_items_that_differ_in_anything_have_other_seeds(one: Item, other: Item) -> None:
    assert (digest(one) == digest(other)) == (one == other)


@given(ITEMS, st.integers(0, 5), st.data())
def test_each_part_of_an_items_identity_counts(item: Item, part: int, data: st.DataObject) -> None:
    other = list(item)
    other[part] = data.draw(ITEMS)[part]
    assert (digest(item) == digest(tuple(other))) == (item == tuple(other))  # type: ignore[arg-type]


def test_what_moves_from_one_name_to_the_next_has_other_seeds() -> None:
    alike: list[Item] = [
        (7, 0, "ab", "c", 1, ()),
        (7, 0, "a", "bc", 1, ()),
        (7, 0, "abc", "", 1, ()),
        (7, 0, "", "abc", 1, ()),
        (0, 7, "ab", "c", 1, ()),
        (7, 0, "ab", "c", 0, (1,)),
        (7, 0, "ab", "c", 1, (0,)),
        (7, 0, "ab", "c", 1, (0, 0)),
    ]
    assert len({digest(item) for item in alike}) == len(alike)


def test_no_two_generators_share_their_seed() -> None:
    places = [FOR_RANDOM, FOR_LIBRARIES, FOR_NUMPY, FOR_RNG, FOR_WORKER]
    taken = [place for part in places for place in range(DIGEST_BYTES)[part]]
    assert len(taken) == len(set(taken)) == 8 + 8 + 24 + 16 + 4


def test_each_bit_of_a_seed_is_set_for_half_of_the_items() -> None:
    # Neighbours (numbers, run seeds, names) are what is used most, and must not look alike.
    count = 4000
    found = [
        SegmentSeeds(number % 20, 0, "augment").items(f"load/{number % 4}", ()).at(number // 20)
        for number in range(count)
    ]
    ones = [0] * (8 * DIGEST_BYTES)
    for one in found:
        for bit, is_set in enumerate(f"{int.from_bytes(one):0{8 * DIGEST_BYTES}b}"):
            ones[bit] += is_set == "1"
    # Six standard deviations: one test of this kind in a million fails by chance.
    assert all(abs(n - count / 2) < 6 * (count / 4) ** 0.5 for n in ones)
    flips = [
        (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()
        for a, b in itertools.pairwise(found[::20])
    ]
    assert all(180 < flip < 332 for flip in flips)  # 256 of 512, but for 6.7 deviations


def test_workers_and_occasions_have_seeds_of_their_own() -> None:
    seeds = [SegmentSeeds(seed, 0, name) for seed in (7, 8) for name in ("a", "b")]
    found = {s.outside(index, what) for s in seeds for index in range(3) for what in (START, END)}
    assert len(found) == 4 * 3 * 2
    assert len({s.of_worker(index) for s in seeds for index in range(3)}) == 12


def test_any_name_has_seeds() -> None:
    assert digest((7, 0, "\ud800", "\udfff", 0, ())) != digest((7, 0, "\udfff", "\ud800", 0, ()))


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1"):
        SegmentSeeds(-1, 0, "augment")
