"""Switches, shared streams, broadcasts, merged outputs."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import minipipe as mp
from minipipe.errors import OutputsError, SentinelError
from tests.inline.harness import counts, finished, line, outputs, system


def test_a_switch_sends_each_item_where_it_says() -> None:
    small: list[int] = []
    large: list[int] = []
    numbers, low, high = mp.Stream(), mp.Stream(), mp.Stream()
    run = finished(
        system(
            mp.Source(range(5), downstreams=numbers),
            mp.Transform(
                lambda x: None if x == 0 else [x, None] if x < 3 else [x, x],
                "switch",
                upstreams=numbers,
                downstreams=[low, high],
            ),
            mp.Sink(small.append, "small", upstreams=low),
            mp.Sink(large.append, "large", upstreams=high),
        )
    )
    assert (small, large) == ([1, 2, 3, 4], [3, 4])
    assert counts(run, "switch") == (5, 6, 1)


def test_a_switch_that_does_not_fit_its_downstreams_is_an_error() -> None:
    a, b, c = mp.Stream(), mp.Stream(), mp.Stream()
    graph = system(
        mp.Source([7], downstreams=a),
        mp.Transform(lambda x: x, "switch", upstreams=a, downstreams=[b, c]),
        mp.Sink(print, upstreams=b),
        mp.Sink(print, upstreams=c),
    )
    with pytest.raises(OutputsError, match="got one int") as caught:
        finished(graph)
    assert "item 0 (7) of segment 'switch'" in caught.value.__notes__[0]


def test_who_shares_a_stream_takes_turns() -> None:
    first: list[int] = []
    second: list[int] = []
    stream = mp.Stream()
    finished(
        system(
            mp.Source(range(5), downstreams=stream),
            mp.Sink(first.append, "first", upstreams=stream),
            mp.Sink(second.append, "second", upstreams=stream),
        )
    )
    assert (first, second) == ([0, 2, 4], [1, 3])


def test_who_has_quit_gets_no_more_turns() -> None:
    flag = threading.Event()
    first: list[int] = []
    second: list[int] = []
    stream = mp.Stream()

    def once(item: int) -> None:
        first.append(item)
        flag.set()

    quitting = mp.Sink(once, "first", upstreams=stream)
    quitting.set_term_flag(flag)
    finished(
        system(
            mp.Source(range(6), downstreams=stream),
            quitting,
            mp.Sink(second.append, "second", upstreams=stream),
        )
    )
    assert (first, second) == ([0], [1, 3, 4, 5])  # 2 came when it had not looked at its flag yet


def test_a_broadcast_gives_everything_to_everybody_in_order() -> None:
    seen: list[tuple[str, Any]] = []
    items = [[1], [2]]
    run = finished(
        line(
            mp.Source(items, "load"),
            mp.Broadcast(
                {
                    "a": mp.Sink(lambda x: seen.append(("a", x)), "sink"),
                    "b": [
                        mp.Transform(lambda x: [*x, 0], "more"),
                        mp.Sink(lambda x: seen.append(("b", x)), "sink"),
                    ],
                }
            ),
        )
    )
    assert seen == [("a", [1]), ("b", [1, 0]), ("a", [2]), ("b", [2, 0])]
    assert seen[0][1] is not items[0]  # each has its own, as between processes
    assert counts(run, "load") == (0, 2, 0)
    assert counts(run, "a/sink") == (2, 0, 0)


def test_what_branches_put_out_is_merged_as_it_comes() -> None:
    graph = line(
        mp.Source([1, 2]),
        mp.Broadcast([mp.Transform(lambda x: x * 10), mp.Transform(lambda x: x * 100)]),
    )
    assert outputs(graph) == [10, 100, 20, 200]


def test_broadcasts_may_be_nested() -> None:
    inner = mp.Broadcast([mp.Transform(lambda x: x + "a"), mp.Transform(lambda x: x + "b")])
    graph = line(
        mp.Source(["1", "2"]),
        mp.Broadcast([[mp.Transform(lambda x: x + "-"), inner], mp.Transform(lambda x: x + "+")]),
        mp.Transform(str.upper),
    )
    assert outputs(graph) == ["1-A", "1-B", "1+", "2-A", "2-B", "2+"]


def test_sentinel_from_a_transform_that_is_in_no_loop_is_an_error() -> None:
    graph = line(mp.Source([1]), mp.Transform(lambda x: mp.Sentinel, "end"))
    with pytest.raises(SentinelError, match="'end'") as caught:
        outputs(graph)
    assert "item 0 (1)" in caught.value.__notes__[0]


def test_what_a_sink_returns_is_ignored() -> None:
    run = finished(line(mp.Source([1, 2]), mp.Sink(lambda x: mp.Sentinel if x == 1 else x, "end")))
    assert counts(run, "end") == (2, 0, 0)
