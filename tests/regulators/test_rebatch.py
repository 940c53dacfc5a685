"""Rebatch: rows in chunks of any length, out n at a time."""

from __future__ import annotations

import itertools
import pickle
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.errors import OptionError
from minipipe.process import seeds
from minipipe.regulators.errors import CollateError
from minipipe.regulators.rebatch import Rebatch
from tests.regulators.driver import outputs

Pair = namedtuple("Pair", "x y")
LENGTHS = st.lists(st.integers(0, 12), max_size=12)


def _chunks(lengths: list[int]) -> list[Any]:
    """Rows that are numbered throughout, with columns that belong together."""
    ends = np.cumsum([0, *lengths])
    return [
        {
            "x": np.stack([np.arange(start, end, dtype=np.float32)] * 2, axis=1),
            "p": Pair(
                np.arange(start, end, dtype=np.int16), (np.arange(start, end).astype(">u4"),)
            ),
        }
        for start, end in itertools.pairwise(ends)
    ]


def _numbers(given_out: list[Any]) -> list[int]:
    """The numbers of the rows, which are whole."""
    numbers: list[int] = []
    for chunk in given_out:
        x, y, z = chunk["x"], chunk["p"].x, chunk["p"].y[0]
        assert x.dtype == np.float32 and y.dtype == np.int16 and z.dtype == ">u4"
        assert x.shape == (len(y), 2) and (x == y[:, None]).all() and (y == z).all()
        numbers += y.tolist()
    return numbers


@settings(max_examples=80, deadline=None)
@given(LENGTHS, st.integers(1, 9), st.booleans())
def test_without_shuffling_all_rows_come_out_in_order(
    lengths: list[int], n: int, drop_last: bool
) -> None:
    given_out = outputs(Rebatch(n, drop_last), _chunks(lengths))
    total = sum(lengths)
    assert _numbers(given_out) == list(range(total - total % n if drop_last else total))
    assert all(len(chunk["x"]) == n for chunk in given_out[:-1])


@settings(max_examples=80, deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(1, 20), st.integers(0, 3), st.booleans())
def test_with_shuffling_every_row_comes_out_once(
    lengths: list[int], n: int, shuffle: int, seed: int, drop_last: bool
) -> None:
    given_out = outputs(Rebatch(n, drop_last, shuffle, seed), _chunks(lengths))
    numbers, total = _numbers(given_out), sum(lengths)
    assert len(set(numbers)) == len(numbers) == (total - total % n if drop_last else total)
    assert set(numbers) <= set(range(total))
    assert all(len(chunk["x"]) == n for chunk in given_out[:-1])
    again = outputs(Rebatch(n, drop_last, shuffle, seed), _chunks(lengths))
    assert _numbers(again) == numbers


def test_rows_are_drawn_from_shuffle_plus_n_of_them() -> None:
    numbers = np.array(_numbers(outputs(Rebatch(10, shuffle=40, seed=1), _chunks([500]))))
    drawing = np.arange(500) // 10
    assert (numbers < 50 + 10 * drawing).all()
    assert (numbers[:10] >= 10).any(), "not the first ten in another order"


def test_every_row_is_as_likely_to_be_drawn_first() -> None:
    rng = np.random.default_rng(0)
    first = [
        outputs(Rebatch(2, shuffle=6, seed=int(rng.integers(2**32))), [np.arange(8)])[0]
        for _ in range(400)
    ]
    assert (np.bincount(np.concatenate(first), minlength=8) > 60).all()  # 100 each, sigma 9


def test_what_comes_out_is_not_written_to_later() -> None:
    chunks = [np.arange(start, start + 7) for start in range(0, 70, 7)]
    for shuffle in (0, 5):
        given_out, copies = [], []
        functor = Rebatch(3, shuffle=shuffle, seed=0).functor_obj
        coroutine = functor.run()
        next(coroutine)
        for chunk in chunks:
            given = coroutine.send(chunk)
            while given is not None:
                given_out.append(given)
                copies.append(given.copy())
                given = next(coroutine)
        assert all((a == b).all() for a, b in zip(given_out, copies, strict=True))


def test_a_chunk_that_holds_all_n_rows_is_not_copied() -> None:
    chunk = np.arange(6)
    functor = Rebatch(3).functor_obj
    coroutine = functor.run()
    next(coroutine)
    assert np.shares_memory(coroutine.send(chunk), chunk)


@pytest.mark.parametrize("shuffle", [0, 4])
def test_chunks_of_no_rows_count_for_nothing(shuffle: int) -> None:
    chunks = [np.array([]), np.arange(3), np.empty((0, 5)), np.arange(3, 6)]
    given_out = outputs(Rebatch(4, shuffle=shuffle), chunks)
    assert sorted(np.concatenate(given_out).tolist()) == list(range(6))
    assert outputs(Rebatch(4, shuffle=shuffle), chunks[:1]) == []


@pytest.mark.parametrize("shuffle", [0, 5])
def test_an_ignored_error_costs_its_chunk_only(shuffle: int) -> None:
    chunks = [np.arange(3), np.zeros((2, 2)), np.arange(3, 6)]
    given_out = outputs(Rebatch(4, shuffle=shuffle), chunks, ignored=(CollateError,))
    assert sorted(np.concatenate(given_out).tolist()) == list(range(6))


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        (
            [{"x": np.zeros(3), "y": [np.zeros(2)]}],
            r"chunk 0, at \['y'\]\[0\]: expected 3 rows as at \['x'\], got 2",
        ),
        (
            [np.zeros(0), np.zeros((3, 2)), np.zeros((3, 4))],
            r"chunk 2: expected rows of float64 and shape \(2,\) as in chunk 1, "
            r"got rows of float64 and shape \(4,\)",
        ),
        (
            [(np.zeros(3),), (np.zeros(3, int),)],
            r"chunk 1, at \[0\]: .*float64.*, got rows of int64",
        ),
        ([(np.zeros(3),), [np.zeros(3)]], "chunk 1: expected a tuple as in chunk 0, got a list"),
        ([{"x": np.zeros(3)}, {"y": np.zeros(3)}], r"keys \['x'\] as in chunk 0, got .*\['y'\]"),
        ([np.zeros(3), {"y": np.zeros(3)}], "expected an array as in chunk 0, got a dict"),
        ([np.array(3.0)], r"first axis is that of rows, got an array of float64 and shape \(\); "),
        ([{"x": np.zeros(3), "n": 3}], r"at \['n'\]: .*got an int; .*Batch"),
        ([["a", "b"]], r"at \[0\]: .*got a str"),
        ([{}], "got a dict"),
        ([np.ma.array([1, 2])], "got a masked one; fill it"),
    ],
)
@pytest.mark.parametrize("shuffle", [0, 5])
def test_chunks_that_are_not_alike_are_an_error(
    chunks: list[Any], words: str, shuffle: int
) -> None:
    with pytest.raises(CollateError, match=words):
        outputs(Rebatch(2, shuffle=shuffle), chunks)


def test_rows_that_wait_do_not_travel_with_the_functor() -> None:
    functor = Rebatch(100, shuffle=7).functor_obj
    coroutine = functor.run()
    next(coroutine)
    coroutine.send(np.zeros(99))
    assert len(pickle.dumps(functor)) < 200


@pytest.fixture
def worker_seed() -> Iterator[int]:
    seeds.use(seeds.Randomness(7))
    yield 7
    seeds.use(None)


def test_the_seed_is_that_of_the_worker_unless_given(worker_seed: int) -> None:
    numbered = [
        _numbers(outputs(Rebatch(5, shuffle=20, seed=seed), _chunks([60])))
        for seed in (None, worker_seed, worker_seed + 1)
    ]
    assert numbered[0] == numbered[1] != numbered[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 0}, r"n \(rows to pass on at a time\) of Rebatch 'Rebatch' .*got 0"),
        ({"n": 4, "shuffle": -1}, "shuffle .* of Rebatch 'Rebatch' .* at least 0, got -1"),
        ({"n": 4, "shuffle": True}, "got True"),
        ({"n": 4, "drop_last": "no"}, "drop_last of Rebatch 'Rebatch' is True or False, got 'no'"),
        ({"n": 4, "seed": -1, "name": "r"}, "seed of Rebatch 'r' .*got -1"),
    ],
)
def test_impossible_options_of_a_rebatch_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Rebatch(**options)
