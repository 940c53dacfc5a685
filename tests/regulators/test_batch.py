"""Batch and Unbatch."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.errors import OptionError
from minipipe.regulators.batch import Batch
from minipipe.regulators.errors import CollateError
from minipipe.regulators.unbatch import Unbatch
from tests.regulators.driver import outputs

Point = namedtuple("Point", "x y")


def test_every_n_samples_are_a_batch_and_the_last_is_shorter() -> None:
    batches = outputs(Batch(3), range(8))
    assert [batch.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_the_shorter_batch_can_be_dropped() -> None:
    assert [len(batch) for batch in outputs(Batch(3, drop_last=True), range(8))] == [3, 3]


def test_a_stream_without_samples_has_no_batch() -> None:
    assert outputs(Batch(3), []) == []


def test_collate_gets_a_list_of_its_own() -> None:
    assert outputs(Batch(2, collate=_reversed), range(3)) == [[1, 0], [2]]


def test_a_batch_that_collate_makes_none_of_is_not_passed_on_and_costs_no_sample() -> None:
    assert outputs(Batch(2, collate=_unless_it_has_1), range(5)) == [[2, 3], [4]]


def test_an_ignored_error_costs_its_batch_only() -> None:
    samples = [np.zeros(2), np.zeros(3), np.ones(2), np.ones(2)]
    batches = outputs(Batch(2), samples, ignored=(CollateError,))
    assert [batch.tolist() for batch in batches] == [[[1, 1], [1, 1]]]


def test_a_second_pass_begins_without_samples() -> None:
    batch = Batch(2, collate=_reversed)
    assert outputs(batch, range(3)) == outputs(batch, range(3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 0}, r"n \(samples in a batch\) of Batch 'Batch' .* at least 1, got 0"),
        ({"n": True}, "got True"),
        ({"n": 2.5}, "got 2.5"),
        ({"n": 2, "drop_last": 1}, "drop_last of Batch 'Batch' is True or False, got 1"),
        ({"n": 2, "collate": "sum"}, "collate of Batch 'Batch' is a function .*got 'sum'"),
        ({"n": 2, "name": "b", "drop_lats": True}, "Batch 'b' has no option 'drop_lats'"),
    ],
)
def test_impossible_options_of_a_batch_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Batch(**options)


def test_the_options_of_a_regulator_are_its_own() -> None:
    batch = Batch(2, name="pairs", n_processes=3, buffer_size=4)
    assert (batch.name, batch.n_processes, batch.buffer_size) == ("pairs", 3, 4)
    assert (Batch(2).name, Unbatch().name) == ("Batch", "Unbatch")


# ------------------------------------------------------------------------------ Unbatch
def test_an_array_becomes_its_rows() -> None:
    rows = outputs(Unbatch(), [np.arange(6).reshape(3, 2), np.empty((0, 2), int)])
    assert [row.tolist() for row in rows] == [[0, 1], [2, 3], [4, 5]]


def test_what_holds_batches_becomes_what_holds_samples() -> None:
    batch = {"p": Point(np.array([1, 2]), ["a", "b"]), "t": (np.array([3.0, 4.0]), {}), "e": ()}
    assert outputs(Unbatch(), [batch]) == [
        {"p": Point(1, "a"), "t": (3.0, {}), "e": ()},
        {"p": Point(2, "b"), "t": (4.0, {}), "e": ()},
    ]


def test_a_list_of_anything_but_arrays_becomes_its_elements() -> None:
    samples = [{"x": np.zeros(2)}, 1, "b", (1, 2), [3]]
    assert outputs(Unbatch(), [samples, (4, "c"), []]) == [*samples, 4, "c"]


def test_none_in_a_batch_is_left_out_and_costs_no_sample() -> None:
    assert outputs(Unbatch(), [[None, 1, None, 2], [None], [3]]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (
            (np.zeros(3), {"y": np.zeros(2)}),
            r"at \[1\]\['y'\]: expected 3 samples as at \[0\], got 2",
        ),
        ({"x": np.zeros(3), "n": 3}, r"at \['n'\]: expected arrays .*got an int"),
        (np.array(3), r"got an array of int64 and shape \(\)"),
        ("text", "got a str"),
        ({}, "got a dict"),
        (None, "got None"),
    ],
)
def test_what_has_no_samples_is_an_error(batch: Any, words: str) -> None:
    with pytest.raises(CollateError, match=words):
        outputs(Unbatch(), [batch])


SAMPLES = st.fixed_dictionaries(
    {
        "image": st.lists(st.integers(0, 255), min_size=4, max_size=4).map(
            lambda values: np.array(values, np.uint8).reshape(2, 2)
        ),
        "label": st.integers(-(2**63), 2**63 - 1),
        "more": st.tuples(st.floats(allow_nan=False), st.text(), st.binary(), st.booleans()),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(SAMPLES, max_size=9), st.integers(1, 5))
def test_unbatching_gives_the_samples_that_were_batched(samples: list[Any], n: int) -> None:
    again = outputs(Unbatch(), outputs(Batch(n), samples))
    assert len(again) == len(samples)
    for one, other in zip(again, samples, strict=True):
        assert (one["image"] == other["image"]).all() and one["image"].dtype == np.uint8
        assert (one["label"], one["more"]) == (other["label"], other["more"])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.sampled_from(["f4", "i2", "?", "U3"]))
def test_batching_gives_the_batch_that_was_unbatched(n: int, dtype: str) -> None:
    batch = (np.arange(n * 6).reshape(n, 2, 3).astype(dtype), np.arange(n))
    (again,) = outputs(Batch(n), outputs(Unbatch(), [batch]))
    assert again[0].dtype == dtype and (again[0] == batch[0]).all() and (again[1] == batch[1]).all()


def _reversed(samples: list[Any]) -> list[Any]:
    samples.reverse()
    return samples


def _unless_it_has_1(samples: list[Any]) -> list[Any] | None:
    return None if 1 in samples else samples
