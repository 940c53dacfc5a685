"""Samples that become a batch one by one: the same as all at once."""

from __future__ import annotations

import gc
import weakref
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minipipe.regulators import collator
from minipipe.regulators.collate import collate
from minipipe.regulators.collator import Collator
from minipipe.regulators.errors import CollateError
from minipipe.shm import SlotPool, arrays, find_slot

Point = namedtuple("Point", "x y")


@dataclass
class Digit:
    image: Any
    label: Any


LEAVES = st.sampled_from(
    [
        *(1, 2.5, True, 1j, None, "a", "bc", b"d", 2**70, np.float32(1), np.int64(3), np.uint8(4)),
        *(np.datetime64("2020-01-01"), np.timedelta64(1, "h"), np.timedelta64(2, "D")),
        *(np.array(5), np.array(6.5, "f4"), np.zeros((0, 2)), np.arange(6).reshape(2, 3)),
        *(np.ones((2, 3)), np.ones((2, 3), ">i4"), np.array(["a"]), np.array(["bcd"])),
        *(np.array([None, 1]), np.ma.array([1, 2], mask=[True, False]), np.arange(2)),
        np.zeros(2, [("a", "i4"), ("b", "f8")]),
    ]
)


def _holders(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.tuples(parts, parts),
        st.lists(parts, max_size=2),
        st.dictionaries(st.sampled_from("ab"), parts),
        st.builds(Point, parts, parts),
        st.builds(Digit, parts, parts),
    )


SAMPLES = st.recursive(LEAVES, _holders, max_leaves=4)
# Mostly alike: else nearly all of them would be errors of the second sample.
BATCHES = st.one_of(
    st.lists(SAMPLES, min_size=1, max_size=4),
    st.tuples(SAMPLES, st.integers(1, 5)).map(lambda drawn: [drawn[0]] * drawn[1]),
)


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        masks = np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        return one.dtype == other.dtype and masks and bool(np.array_equal(one, other))
    if isinstance(one, Digit):
        return _same(one.image, other.image) and _same(one.label, other.label)
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _outcome(make: Any) -> Any:
    try:
        return make()
    except CollateError as error:
        return error


@settings(max_examples=300, deadline=None)
@given(st.lists(BATCHES, min_size=1, max_size=3), st.sampled_from([1, 40, 10**9]))
@example([[np.zeros(3), np.ma.zeros(3)]], 10**9)
@example([[{"a": 1, "b": 1}], [{"b": 1, "a": 1}]], 1)
def test_it_makes_what_collate_makes(batches: list[list[Any]], first_bytes: int) -> None:
    one_by_one = Collator(5)
    before, collator.FIRST_BYTES = collator.FIRST_BYTES, first_bytes
    try:
        for samples in batches:
            for sample in samples:
                one_by_one.add(sample)
            assert len(one_by_one) == len(samples)
            made, expected = _outcome(one_by_one.finish), _outcome(lambda s=samples: collate(s))
            if isinstance(expected, CollateError):
                # Where several samples are unlike the first one, either may be named.
                assert isinstance(made, CollateError)
            else:
                assert _same(made, expected)
    finally:
        collator.FIRST_BYTES = before


def test_no_sample_is_kept() -> None:
    one_by_one, sample = Collator(2), np.zeros(3)
    gone = weakref.ref(sample)
    one_by_one.add((sample, 1))
    del sample
    gc.collect()
    assert gone() is None


def test_arrays_of_any_kind_may_be_filled_anew_for_each_sample() -> None:
    row, total, text, thing = np.zeros(1), np.zeros(()), np.array(["a"]), np.array([None])
    collator = Collator(3)
    for number in range(3):
        row[:], total[()], text[0], thing[0] = number, number, str(number), (number,)
        collator.add({"row": row, "total": total, "text": text, "thing": thing})
    batch = collator.finish()
    assert batch["row"].ravel().tolist() == [0, 1, 2]
    assert batch["total"].ravel().tolist() == [0, 1, 2]
    assert batch["text"].ravel().tolist() == ["0", "1", "2"]
    assert batch["thing"].ravel().tolist() == [(0,), (1,), (2,)]


def test_an_unlike_sample_costs_its_batch_only_and_the_next_may_be_of_another_form() -> None:
    one_by_one = Collator(2)
    one_by_one.add((1, 2))
    one_by_one.add((1, 2, 3))
    with pytest.raises(CollateError, match="sample 1 of the batch: expected a tuple of 2"):
        one_by_one.finish()
    for sample in ({"a": np.zeros(2)}, {"a": np.ones(2)}):
        one_by_one.add(sample)
    assert one_by_one.finish()["a"].tolist() == [[0, 0], [1, 1]]


def test_an_error_of_the_samples_own_code_comes_with_the_batch() -> None:
    class Lazy(Digit):
        @property
        def image(self) -> Any:
            raise RuntimeError("no such file")

        @image.setter
        def image(self, image: Any) -> None:
            pass

    one_by_one = Collator(2)
    one_by_one.add(Lazy(1, 2))
    with pytest.raises(RuntimeError, match="no such file"):
        one_by_one.finish()


def _row_counts(monkeypatch: pytest.MonkeyPatch, counts: Sequence[int], size: int) -> list[int]:
    """The rows of each array that was made for batches of so many samples."""
    made: list[int] = []

    def empty(shape: tuple[int, ...], dtype: Any) -> Any:
        made.append(shape[0])
        return np.empty(shape, dtype)

    monkeypatch.setattr(collator, "empty", empty)
    monkeypatch.setattr(collator, "FIRST_BYTES", 64)
    one_by_one = Collator(size)
    for count in counts:
        for number in range(count):
            one_by_one.add(np.full(2, number))
        assert one_by_one.finish()[:, 0].tolist() == list(range(count))
    return made


def test_a_batch_that_may_never_be_full_is_not_allocated_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _row_counts(monkeypatch, [9], 10**12) == [4, 8, 16]


def test_once_one_was_full_the_next_are_allocated_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _row_counts(monkeypatch, [10, 10], 10) == [4, 8, 10, 10]


def test_a_short_last_batch_does_not_keep_the_memory_of_a_long_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _row_counts(monkeypatch, [10, 2], 10) == [4, 8, 10, 10, 2]


def test_a_batch_lies_where_the_next_segment_sees_it() -> None:
    pool = SlotPool(1 << 24)
    arrays.set_pool(pool)
    try:
        one_by_one = Collator(2)
        for _ in range(2):
            one_by_one.add(np.zeros(100_000, np.uint8))
        assert find_slot(one_by_one.finish()) is not None
    finally:
        arrays.set_pool(None)
        pool.close()
