"""A sample that does not go with the first one of its batch is refused alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from minipipe.operators.batching import Samples
from minipipe.regulators.collate import collate
from minipipe.regulators.errors import CollateError
from minipipe.regulators.likeness import Likeness
from minipipe.segments.batching import Batching


class Pair(NamedTuple):
    image: Any
    label: Any


GOOD: list[tuple[Any, Any]] = [
    (1, 2),
    (1, 2.5),
    (True, False),
    ("a", "longer"),
    (b"a", b""),
    (np.float32(1), np.float32(2)),
    (np.zeros((2, 3), np.uint8), np.ones((2, 3), np.uint8)),
    (np.array(["a"]), np.array(["abc"])),
    (np.zeros(2, object), np.ones(2, object)),
    (np.zeros(2), np.ma.zeros(2)),
    ((np.zeros(2), 1, "a"), (np.ones(2), 2, "b")),
    ({"x": [1, 2]}, {"x": [3, 4]}),
    (Pair(np.zeros(1), 1), Pair(np.ones(1), 2)),
]
BAD: list[tuple[Any, Any]] = [
    (1, "a"),
    (1, None),
    (1, True),
    (1, 2**70),
    ("a", b"a"),
    (np.float32(1), np.float64(1)),
    (np.zeros((2, 3), np.uint8), np.zeros((2, 4), np.uint8)),
    (np.zeros(2), np.zeros(2, np.float32)),
    (np.zeros(2), [0.0, 0.0]),
    ((1, 2), (1, 2, 3)),
    ((1, 2), [1, 2]),
    ({"x": 1}, {"y": 1}),
    (Pair(np.zeros(1), 1), Pair(np.zeros(2), 1)),
]


@pytest.mark.parametrize(("first", "other"), GOOD)
def test_what_collate_puts_together_is_alike(first: Any, other: Any) -> None:
    collate([first, other])
    Likeness(first).check(1, other)


@pytest.mark.parametrize(("first", "other"), BAD)
def test_what_collate_refuses_is_refused_in_the_same_words(first: Any, other: Any) -> None:
    with pytest.raises(CollateError) as by_collate:
        collate([first, other])
    with pytest.raises(CollateError) as refused:
        Likeness(first).check(1, other)
    assert str(refused.value) == str(by_collate.value)


def test_tensors_are_compared_by_what_has_to_be_the_same() -> None:
    torch = pytest.importorskip("torch")
    likeness = Likeness({"x": torch.zeros(3)})
    likeness.check(1, {"x": torch.ones(3)})
    with pytest.raises(CollateError, match=r"sample 5 of the batch, at \['x'\]: expected dtype"):
        likeness.check(5, {"x": torch.zeros(3, dtype=torch.int8)})


@pytest.mark.parametrize("first", [object(), None, {1, 2}])
def test_a_first_sample_that_has_no_batch_is_refused(first: Any) -> None:
    with pytest.raises(CollateError, match="sample 0 of the batch: expected numbers, arrays"):
        Likeness(first)


def test_a_batch_is_made_of_those_that_go_together_and_the_next_one_begins_anew() -> None:
    samples = Samples(Batching(4))
    reused = np.zeros(2)
    for number in range(3):
        reused[:] = number
        samples.add(reused)
    with pytest.raises(CollateError, match="sample 3 of the batch: expected shape"):
        samples.add(np.zeros(3))
    assert samples.batch().tolist() == [[0, 0], [1, 1], [2, 2]]
    samples.add(np.zeros(3))
    assert samples.batch().shape == (1, 3)


def test_what_was_added_and_is_for_nobody_is_in_no_batch() -> None:
    for collate_ in (None, list):
        samples = Samples(Batching(4, collate=collate_))
        samples.add("of another batch")
        samples.clear()
        samples.add(1)
        assert list(samples.batch()) == [1]
