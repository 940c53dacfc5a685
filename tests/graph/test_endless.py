"""Whether a functor can be seen never to end its loop: only if that is certain."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable

import pytest

import minipipe as mp
from minipipe.graph.endless import never_ends

nothing = None


class AsMethod:
    def run(self, x: int) -> int:
        return x + 1


def closed_over(value: object) -> Callable[[int], object]:
    return lambda x: value


@pytest.mark.parametrize(
    "functor",
    [
        lambda x: x,
        lambda x: x + 1,
        lambda x: (x, -x),
        lambda x: x if x > 3 else x * 2,
        AsMethod(),
        AsMethod().run,
    ],
)
def test_what_merely_computes_with_the_item_never_ends(functor) -> None:
    assert never_ends(mp.Transform(functor))


@pytest.mark.parametrize(
    "functor",
    [
        lambda x: None,
        lambda x: x if x > 3 else None,
        lambda x: [x, None],
        lambda x: x[0],
        lambda x: x.next,
        lambda x: nothing,
        lambda x: mp.Sentinel,
        lambda x: abs(x),
        closed_over(None),
        abs,
        functools.partial(max, 1),
        operator.neg,
        operator.methodcaller("next"),
    ],
)
def test_what_may_give_nothing_may_end(functor) -> None:
    assert not never_ends(mp.Transform(functor))


def test_what_may_raise_and_be_ignored_may_end() -> None:
    assert not never_ends(mp.Transform(lambda x: 1 // x, ignore_exceptions=[ArithmeticError]))


def test_a_regulator_may_end() -> None:
    def passes():
        x = yield
        yield x

    assert not never_ends(mp.Regulator(passes))
