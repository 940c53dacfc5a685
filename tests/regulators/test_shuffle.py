"""Shuffle: items in random order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.errors import OptionError
from minipipe.process import seeds
from minipipe.regulators.shuffle import Shuffle
from tests.regulators.driver import outputs


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(1, 50), st.integers(0, 3))
def test_every_item_comes_out_once_and_none_more_than_the_buffer_early(
    count: int, buffer: int, seed: int
) -> None:
    given_out = outputs(Shuffle(buffer, seed), range(count))
    assert sorted(given_out) == list(range(count))
    assert all(item - place < buffer for place, item in enumerate(given_out))
    assert given_out == outputs(Shuffle(buffer, seed), range(count))


def test_another_seed_gives_another_order() -> None:
    assert outputs(Shuffle(50, 1), range(50)) != outputs(Shuffle(50, 2), range(50))


def test_the_seed_is_that_of_the_worker_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "_current", seeds.Randomness(7))
    assert outputs(Shuffle(50), range(50)) == outputs(Shuffle(50, 7), range(50))


def test_a_buffer_of_one_keeps_the_order() -> None:
    assert outputs(Shuffle(1), range(9)) == list(range(9))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"buffer": 0}, r"buffer \(items to draw from\) of Shuffle 'Shuffle' .*got 0"),
        ({"buffer": 1.5}, "got 1.5"),
        ({"buffer": 9, "seed": "x"}, "seed of Shuffle 'Shuffle' .*got 'x'"),
    ],
)
def test_impossible_options_of_a_shuffle_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Shuffle(**options)
