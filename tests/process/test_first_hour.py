"""What newcomers stumble over is said: at build where that is certain, else at the end."""

from __future__ import annotations

import functools
import multiprocessing
import queue
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import minipipe as mp
from tests.conftest import named

INLINE = pytest.mark.parametrize("inline", [False, True], ids=["processes", "inline"])


# ------------------------------------------- state of the caller's, changed in a worker
class Bag(list):  # type: ignore[type-arg]
    pass


class Noisy(list):  # type: ignore[type-arg]
    def append(self, item: Any) -> None:
        print("got", item)


LOST: list[Callable[..., Any]] = [
    *([].append, [].extend, set().add, {}.update, deque().append, deque().appendleft),
    *(Bag().append, OrderedDict().update, queue.Queue().put, queue.SimpleQueue().put),
    *(functools.partial({}.__setitem__, 3), functools.partial([].insert, 0)),
]


@pytest.mark.parametrize("functor", LOST, ids=named)
def test_a_sink_that_fills_a_list_of_the_caller_s_is_refused_as_workers_have_copies(
    functor: Callable[..., Any],
) -> None:
    pline = mp.PipeLine([mp.Source([1])])
    sink = mp.Sink(functor, "got")
    pline.add(sink)
    with pytest.raises(mp.BuildError, match=r"of Sink 'got' is the method \w+ of a \w+ of this pr"):
        pline.build(inline=False)


def test_inline_such_a_sink_fills_the_list() -> None:
    got: list[int] = []
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(got.append)]).build(inline=True)
    pline.run()
    pline.close()
    assert got == [0, 1, 2]


def test_what_leads_home_or_only_looks_is_not_refused() -> None:
    with multiprocessing.get_context("fork").Manager() as manager:
        for functor in (
            *(manager.list().append, manager.dict().update, {1: 2}.get, [1, 2].index, "a-b".split),
            *(Noisy().append, multiprocessing.get_context("fork").Queue().put),
        ):
            mp.PipeLine([mp.Source([1]), mp.Transform(functor)]).build(inline=False)


def test_a_proxy_of_a_manager_is_filled_by_workers() -> None:
    with multiprocessing.get_context("fork").Manager() as manager:
        got = manager.list()
        pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(got.append)])
        pline.run()
        pline.close(60)
        assert list(got) == [0, 1, 2]


# ------------------------------------------------------------------- a forgotten return
def forgot(x: int) -> None:
    x + 1


class Forgot:
    def run(self, x: int) -> None:
        self.last = x


def only_some(x: int) -> int | None:
    if x > 10**6:
        return x
    return None


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]


@INLINE
@pytest.mark.parametrize(
    "functor", [forgot, Forgot(), Forgot, functools.partial(forgot)], ids=named
)
@pytest.mark.parametrize("sink", [False, True])
def test_a_transform_without_a_return_is_named_at_the_end(
    functor: Any, sink: bool, inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    pline = mp.PipeLine([mp.Source(range(100)), mp.Transform(functor, "t")])
    if sink:
        pline.add(mp.Sink(print))
        pline.build(inline=inline).run()
        pline.close(60)
    else:
        assert list(pline.build(inline=inline)) == []
        pline.close(60)
    assert warnings_of(caplog) == [
        "Transform 't': its functor returned None for all 100 items: a forgotten return?"
    ]


@INLINE
def test_a_filter_that_lets_nothing_pass_and_an_empty_stream_are_no_such_thing(
    inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert (
        list(mp.PipeLine([mp.Source(range(9)), mp.Transform(only_some)]).build(inline=inline)) == []
    )
    assert list(mp.PipeLine([mp.Source([]), mp.Transform(forgot)]).build(inline=inline)) == []
    assert warnings_of(caplog) == []


# ------------------------------------------------------------------- a tail that is lost
def pairs() -> Iterator[Any]:
    held: list[int] = []
    while True:
        held.append((yield))
        if len(held) == 2:
            yield held
            held = []


class Pairs:
    def __init__(self) -> None:
        self.held: list[int] = []

    def run(self) -> Iterator[Any]:
        while True:
            self.held.append((yield))
            if len(self.held) == 2:
                done, self.held = self.held, []
                yield done


def with_the_last() -> Iterator[Any]:
    held: list[int] = []
    while True:
        try:
            held.append((yield))
        except mp.EndOfStream:
            break
        if len(held) == 2:
            yield held
            held = []
    if held:
        yield held


def small_ones() -> Iterator[Any]:
    while True:
        x = yield
        if x < 3:
            yield x


class Filter:
    """Has lists and texts of its own, and gathers nothing."""

    def __init__(self) -> None:
        self.name, self.wanted, self.before = "filter", [0, 1, 2], ""

    def run(self) -> Iterator[Any]:
        columns = ["x", "y"]
        while True:
            x = yield
            if x in self.wanted and columns:
                yield x
            self.before = str(x)


def of_lists() -> Iterator[Any]:
    while True:
        row = yield
        if row == 0:
            yield row


def only_takes() -> Iterator[Any]:
    held = []
    while True:
        held.append((yield))


@INLINE
@pytest.mark.parametrize("functor", [pairs, Pairs()], ids=named)
def test_a_regulator_that_lets_its_last_items_go_is_named(
    functor: Any, inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    pline = mp.PipeLine([mp.Source(range(5)), mp.Regulator(functor, "r")]).build(inline=inline)
    assert list(pline) == [[0, 1], [2, 3]]
    (said,) = warnings_of(caplog)
    assert (
        "regulator 'r' took 1 item after its last output, and let EndOfStream pass: catch" in said
    )


@INLINE
@pytest.mark.parametrize(
    "functor", [with_the_last, small_ones, Filter(), of_lists, only_takes], ids=named
)
def test_regulators_that_lose_nothing_are_not_named(
    functor: Any, inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    list(mp.PipeLine([mp.Source(range(5)), mp.Regulator(functor, "r")]).build(inline=inline))
    list(mp.PipeLine([mp.Source(["a", "b"]), mp.Batch(3)]).build(inline=inline))
    assert warnings_of(caplog) == []
