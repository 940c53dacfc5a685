"""FlatMap: each element of what a functor gives."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minipipe.errors import BuildError, OptionError
from minipipe.regulators.flat_map import FlatMap
from tests.regulators.driver import outputs


def _countdown(n: int) -> Iterator[int]:
    yield from range(n, 0, -1)


def _fails_at_2(n: int) -> list[int]:
    if n == 2:
        raise ValueError(n)
    return [n]


class Repeater:
    def __init__(self, times: int = 1) -> None:
        self.times = times
        self.seen = 0

    def run(self, item: Any) -> list[Any]:
        self.seen += 1
        return [item] * self.times


class Hooked(Repeater):
    def local_init(self, times: int) -> None:
        self.times = times

    def local_term(self) -> int:
        return self.seen


@pytest.mark.parametrize(
    ("f", "items", "expected"),
    [
        (str.split, ["a b", "", "c"], ["a", "b", "c"]),
        (_countdown, [2, 0, 1], [2, 1, 1]),
        (list, [(1, None), (None,), (2,)], [1, 2]),
        ({1: (1, 1), 3: []}.get, [1, 2, 3, 1], [1, 1, 1, 1]),
        (np.arange, [2], [0, 1]),
        (Repeater(2), "ab", ["a", "a", "b", "b"]),
        (Repeater, "ab", ["a", "b"]),
    ],
)
def test_each_element_is_passed_on(f: Any, items: Any, expected: list[Any]) -> None:
    assert outputs(FlatMap(f), items) == expected


def test_a_class_is_made_in_the_worker_with_init_kwargs() -> None:
    assert outputs(FlatMap(Repeater, init_kwargs={"times": 3}), "a") == ["a"] * 3


def test_the_hooks_of_an_object_are_called() -> None:
    results: list[Any] = []
    flat_map = FlatMap(Hooked(), init_kwargs={"times": 2})
    assert outputs(flat_map, "abc", results=results) == list("aabbcc")
    assert results == [3] and flat_map.shape.has_term
    assert not FlatMap(Repeater()).shape.has_term


def test_what_was_made_in_a_worker_does_not_travel() -> None:
    functor = FlatMap(Hooked()).functor_obj
    functor.local_init(times=2)
    functor._opened.functor.unpicklable = lambda: None
    functor.f = Hooked()
    assert pickle.loads(pickle.dumps(functor))._opened is None


def test_an_ignored_error_costs_its_item_only() -> None:
    assert outputs(FlatMap(_fails_at_2), [1, 2, 3], ignored=(ValueError,)) == [1, 3]


@pytest.mark.parametrize("result", ["text", b"bytes", {"a": 1}, 3])
def test_a_result_whose_elements_are_not_meant_is_an_error(result: Any) -> None:
    name = type(result).__name__
    with pytest.raises(BuildError, match=f"FlatMap 'f' returned .*, a {name}: it gives a list"):
        outputs(FlatMap({1: result}.get, "f"), [1])


def test_a_functor_that_cannot_be_called_with_one_item_is_refused() -> None:
    with pytest.raises(BuildError, match="FlatMap 'FlatMap' needs a function"):
        FlatMap(3)
    with pytest.raises(BuildError, match="of FlatMap 'FlatMap' is called with one item"):
        FlatMap(lambda a, b: [a, b]).check_call(1)
    with pytest.raises(OptionError, match="FlatMap 'FlatMap' has no option 'n_procs'"):
        FlatMap(_countdown, n_procs=2)
