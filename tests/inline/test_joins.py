"""Joins: by identity where the branches stem from the same items, else in step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minipipe as mp
from minipipe.errors import UnpairedError
from minipipe.inline import InlineRun
from minipipe.inline.connections import Identity
from minipipe.inline.joins import Waiting, ZipJoin
from minipipe.operators.work_item import WorkItem
from minipipe.segments.segment import Segment
from tests.inline.harness import counts, cut, finished, system

Pairs = list[tuple[Any, ...]]


def diamond(left: Any, right: Any, items: Any) -> tuple[list[Segment], Pairs]:
    """Each item by two ways, and both together again."""
    seen: Pairs = []
    both, a, b = mp.Stream(broadcast=True), mp.Stream("a"), mp.Stream("b")
    return [
        mp.Source(items, downstreams=both),
        mp.Transform(left, "left", upstreams=both, downstreams=a, n_processes=3),
        mp.Transform(right, "right", upstreams=both, downstreams=b, n_processes=2),
        mp.Sink(lambda *pair: seen.append(pair), "join", upstreams=[a, b]),
    ], seen


def zipped(first: Any, second: Any, **options: Any) -> tuple[list[Segment], Pairs]:
    """Two Sources, in step."""
    seen: Pairs = []
    a, b = mp.Stream("a"), mp.Stream("b")
    return [
        mp.Source(first, "one", downstreams=a),
        mp.Source(second, "two", downstreams=b),
        mp.Sink(lambda *pair: seen.append(pair), "join", upstreams=[a, b], **options),
    ], seen


def test_by_identity_what_was_dropped_on_one_way_mispairs_nothing() -> None:
    segments, seen = diamond(
        lambda x: None if x % 3 == 0 else x, lambda x: None if x == 4 else -x, range(8)
    )
    run = finished(system(*segments))
    assert seen == [(x, -x) for x in (1, 2, 5, 7)]
    assert counts(run, "join") == (4, 0, 4)


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_by_identity_pairs_what_was_dropped_on_neither_way(left: set[int], right: set[int]) -> None:
    segments, seen = diamond(
        lambda x: None if x in left else x, lambda x: None if x in right else -x, range(10)
    )
    run = finished(system(*segments))
    assert seen == [(x, -x) for x in range(10) if x not in left | right]
    assert counts(run, "join") == (10 - len(left | right), 0, len(left ^ right))


def test_by_identity_a_skipped_failure_mispairs_nothing() -> None:
    segments, seen = diamond(lambda x: 6 // x, lambda x: x, [1, 0, 2])
    finished(system(*segments), (ZeroDivisionError,))
    assert seen == [(6, 1), (3, 2)]


def test_by_identity_through_a_switch_and_shared_workers() -> None:
    seen: Pairs = []
    both = mp.Stream("both", broadcast=True)
    a, b, odd, even = mp.Stream("a"), mp.Stream("b"), mp.Stream("odd"), mp.Stream("even")
    finished(
        system(
            mp.Source(range(6), downstreams=both),
            mp.Transform(
                lambda x: [x, None] if x % 2 else [None, x],
                "switch",
                upstreams=both,
                downstreams=[odd, even],
            ),
            mp.Transform(lambda x: ("odd", x), "o", upstreams=odd, downstreams=a),
            mp.Transform(lambda x: ("even", x), "e", upstreams=even, downstreams=a),
            mp.Transform(lambda x: x, "same", upstreams=both, downstreams=b),
            mp.Sink(lambda *pair: seen.append(pair), "join", upstreams=[a, b]),
        )
    )
    assert seen == [((("even", "odd")[x % 2], x), x) for x in range(6)]


def test_by_identity_of_the_two_outputs_of_a_function() -> None:
    seen: Pairs = []
    numbers, a, b = mp.Stream(), mp.Stream(), mp.Stream()
    finished(
        system(
            mp.Source(range(4), downstreams=numbers),
            mp.Transform(
                lambda x: (x, None) if x == 2 else (x, -x),
                "fork",
                upstreams=numbers,
                downstreams=[a, b],
            ),
            mp.Sink(lambda *pair: seen.append(pair), "join", upstreams=[a, b]),
        )
    )
    assert seen == [(0, 0), (1, -1), (3, -3)]


def test_by_identity_the_outputs_of_a_regulator_are_items_of_their_own() -> None:
    seen: Pairs = []
    numbers, rows, a, b = mp.Stream(), mp.Stream(broadcast=True), mp.Stream(), mp.Stream()
    finished(
        system(
            mp.Source(range(5), downstreams=numbers),
            mp.Regulator(cut, init_kwargs={"size": 2}, upstreams=numbers, downstreams=rows),
            mp.Transform(lambda r: None if r == [2, 3] else sum(r), upstreams=rows, downstreams=a),
            mp.Transform(len, "len", upstreams=rows, downstreams=b),
            mp.Sink(lambda *pair: seen.append(pair), upstreams=[a, b]),
        )
    )
    assert seen == [(1, 2), (4, 1)]


def test_by_identity_of_branches_within_a_branch() -> None:
    seen: Pairs = []
    outer, inner = mp.Stream("outer", broadcast=True), mp.Stream("inner", broadcast=True)
    u, v, plain = mp.Stream("u"), mp.Stream("v"), mp.Stream("plain")
    finished(
        system(
            mp.Source(range(4), downstreams=outer),
            mp.Transform(lambda x: x, "pass", upstreams=outer, downstreams=inner),
            mp.Transform(lambda x: None if x == 1 else x, "f", upstreams=inner, downstreams=u),
            mp.Transform(lambda x: x * x, "g", upstreams=inner, downstreams=v),
            mp.Sink(lambda x, y: seen.append((x, y)), "inner join", upstreams=[u, v]),
            mp.Transform(lambda x: x, "other", upstreams=outer, downstreams=plain),
            mp.Sink(lambda x: None, upstreams=plain),
        )
    )
    assert seen == [(0, 0), (2, 4), (3, 9)]


def test_in_step_the_first_goes_with_the_first() -> None:
    segments, seen = zipped([1, None, 2, 3], ["a", "b", "c"])
    run = finished(system(*segments))
    assert seen == [(1, "a"), (2, "b"), (3, "c")]
    assert counts(run, "join") == (3, 0, 0)


def test_what_is_left_over_in_step_is_an_error() -> None:
    segments, seen = zipped([1, 2, 3], [1])
    run = InlineRun(system(*segments), None)
    with pytest.raises(UnpairedError, match=r"sink 'join' takes .* and 1 of 'a' were left"):
        list(run.items())
    assert seen == [(1, 1)]


def test_left_over_of_a_source_without_end_is_told_at_once() -> None:
    segments, seen = zipped(["x", "y"], itertools.count())
    with pytest.raises(UnpairedError, match="1 of 'b'"):
        finished(system(*segments))
    assert seen == [("x", 0), ("y", 1)]


def test_not_strict_what_is_left_over_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    segments, seen = zipped([1], [1, 2, 3, 4], strict=False)
    run = finished(system(*segments))
    assert seen == [(1, 1)]
    assert "3 of 'b' were left over when another one had ended" in caplog.text
    assert "strict" not in caplog.text
    assert counts(run, "join") == (1, 0, 3)


def test_a_regulator_of_several_upstreams_is_sent_one_tuple() -> None:
    seen: list[Any] = []
    a, b, rows = mp.Stream(), mp.Stream(), mp.Stream()
    finished(
        system(
            mp.Source([1, 2, 3], "one", downstreams=a),
            mp.Source([4, 5, 6], "two", downstreams=b),
            mp.Regulator(cut, init_kwargs={"size": 2}, upstreams=[a, b], downstreams=rows),
            mp.Sink(seen.append, upstreams=rows),
        )
    )
    assert seen == [[(1, 4), (2, 5)], [(3, 6)]]


def test_an_exception_in_a_join_shows_all_arguments() -> None:
    a, b, c = mp.Stream(), mp.Stream(), mp.Stream()
    graph = system(
        mp.Source([1], "one", downstreams=a),
        mp.Source([0], "two", downstreams=b),
        mp.Transform(lambda x, y: x // y, "div", upstreams=[a, b], downstreams=c),
        mp.Sink(print, upstreams=c),
    )
    with pytest.raises(ZeroDivisionError) as caught:
        finished(graph)
    assert "item 0 ((1, 0)) of segment 'div'" in caught.value.__notes__[0]


# ------------------------------------------------------------------ the pure part
@settings(max_examples=100)
@given(st.lists(st.integers(0, 2), max_size=30))
def test_in_step_is_zip_whatever_the_order_of_arrival(inlets: list[int]) -> None:
    join = ZipJoin("join", [Waiting(name, False) for name in "abc"], strict=True)
    arrived: list[list[int]] = [[], [], []]
    wholes = []
    for number, inlet in enumerate(inlets):
        arrived[inlet].append(number)
        whole = join.add(inlet, WorkItem((number,), number, Identity(inlet)))
        if whole is not None:
            wholes.append(whole.arguments)
    assert wholes == list(zip(*arrived, strict=False))


@settings(max_examples=100)
@given(st.lists(st.booleans(), max_size=20), st.booleans())
def test_in_step_counts_what_is_left_over(order: list[bool], first_ends_first: bool) -> None:
    waiting = [Waiting("a", False), Waiting("b", False)]
    join = ZipJoin("join", waiting, strict=False)
    for number, inlet in enumerate(order):
        join.add(inlet, WorkItem((number,), number, Identity(inlet)))
    for inlet in (0, 1) if first_ends_first else (1, 0):
        join.ended(inlet)
    a, b = order.count(False), order.count(True)
    assert [part.discarded for part in waiting] == [max(0, a - b), max(0, b - a)]


def test_a_join_of_nothing_ends() -> None:
    segments, seen = zipped([], [])
    finished(system(*segments))
    assert seen == []


def test_what_a_joining_sink_returns_is_ignored() -> None:
    a, b = mp.Stream("a"), mp.Stream("b")
    seen: Pairs = []

    def keeps(*pair: Any) -> Any:
        seen.append(pair)
        return mp.Sentinel

    sink = mp.Sink(keeps, "keeps", upstreams=[a, b])
    finished(system(mp.Source([1, 2], "x", a), mp.Source([3, 4], "y", b), sink))
    assert seen == [(1, 3), (2, 4)]


def test_a_run_that_is_drained_has_no_surplus_to_complain_of() -> None:
    def drains() -> Iterator[int]:
        yield 0
        run.wish = "drain"
        yield 1

    segments, seen = zipped(drains, itertools.count())
    run = InlineRun(system(*segments), None)
    assert list(run.items()) == []
    assert seen == [(0, 0)]
