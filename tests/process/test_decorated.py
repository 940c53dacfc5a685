"""Functors that a decorator has made: what counts is what they take, not what they look like."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

import minipipe as mp


def unpacked(function: Callable[..., Any]) -> Callable[[Any], Any]:
    @functools.wraps(function)
    def call(item: Any) -> Any:
        return function(*item)

    return call


def with_scale(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return function(*arguments, 10)

    return call


@unpacked
def add(a: int, b: int) -> int:
    return a + b


class Scales:
    @with_scale
    def run(self, item: int, scale: int) -> int:
        return item * scale


class Dispatches:
    @functools.singledispatchmethod
    def run(self, item: Any) -> str:
        return "any"

    @run.register
    def _(self, item: int) -> str:
        return "int"


PAIRS = [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    ("items", "functor", "results"),
    [
        (PAIRS, add, [3, 7]),
        ([1, 2], Scales(), [10, 20]),
        ([1, 2], Scales, [10, 20]),
        ([1, "a"], Dispatches(), ["int", "any"]),
        ([1, "a"], Dispatches, ["int", "any"]),
    ],
)
def test_a_decorator_may_call_the_function_inside_in_its_own_way(
    items: list[Any], functor: Any, results: list[Any]
) -> None:
    assert list(mp.PipeLine([mp.Source(items), mp.Transform(functor)])) == results


@pytest.mark.parametrize(
    "functor",
    [
        functools.lru_cache(lambda a, b: a + b),
        functools.wraps(add)(lambda a, b: a + b),
        functools.partial(lambda a, b, c: a, 1),
    ],
)
def test_what_takes_one_item_in_no_way_is_refused(functor: Any) -> None:
    with pytest.raises(mp.BuildError, match="is called with one item"):
        mp.PipeLine([mp.Source(PAIRS), mp.Transform(functor)]).build()
