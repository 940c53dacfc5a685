"""Where items go in bundles; what is refused, as somebody else needs them one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import minipipe as mp
from minipipe.graph import Graph, system_graph
from tests.graph.test_regions import State, by_name, line, same
from tests.process.functors import streams


def switch(x: Any) -> tuple[Any, Any]:
    return x, None


def bundled(graph: Graph) -> set[tuple[str, str]]:
    """The segments between which items go in bundles."""
    name = [segment.name for segment in graph.segments]
    return {
        (name[p], name[c])
        for number in graph.bundled
        for p in graph.streams[number].producers
        for c in graph.streams[number].consumers
    }


def test_items_go_in_bundles_from_who_numbers_them_to_who_makes_batches() -> None:
    graph = line(
        mp.Source([1], "s"),
        mp.Transform(same, "a"),
        mp.Transform(State(), "o"),
        mp.Transform(same, "b"),
        mp.Transform(same, "batch", batch=8, n_processes=3),
        mp.Transform(same, "c"),
        mp.Sink(same, "k"),
    )
    assert bundled(graph) == {("o", "b"), ("b", "batch")}
    bundling = graph.wiring(by_name(graph, "o")).outlets[0].bundling
    assert bundling is not None
    assert bundling.size == 8
    assert bundling.takers == {by_name(graph, "b"), by_name(graph, "batch")}
    assert graph.wiring(by_name(graph, "c")).inlets[0].bundling is None


def test_all_branches_of_a_broadcast_may_make_batches() -> None:
    batches = [[mp.Transform(same, n, batch=4), mp.Sink(same, f"k{n}")] for n in "ab"]
    graph = line(mp.Source([1], "s"), mp.Broadcast(batches))
    assert bundled(graph) == {("s", "a"), ("s", "b")}


def test_the_parts_of_items_that_are_put_into_batches_are_not_joined_by_identity() -> None:
    a, b, c, d, out = streams(5)
    graph = system_graph(
        [
            mp.Source([1], "s", a),
            mp.Transform(State(), "fork", a, [b, c]),
            mp.Transform(same, "batch", b, d, batch=4),
            mp.Transform(lambda x, y: x, "join", [d, c], out),
            mp.Sink(same, "k", out),
        ]
    )
    assert graph.wiring(by_name(graph, "join")).pairs is None


def beside_a_sink() -> Graph:
    branches = [[mp.Transform(same, "batch", batch=4), mp.Sink(same, "k")], mp.Sink(same, "log")]
    return line(mp.Source([1], "s"), mp.Broadcast(branches))


def two_sizes() -> Graph:
    branches = [[mp.Transform(same, f"b{n}", batch=n), mp.Sink(same, f"k{n}")] for n in (4, 8)]
    return line(mp.Source([1], "s"), mp.Broadcast(branches))


def two_tails() -> Graph:
    branches = [
        [mp.Transform(same, f"b{drop}", batch=4, drop_last=drop), mp.Sink(same, f"k{drop}")]
        for drop in (False, True)
    ]
    return line(mp.Source([1], "s"), mp.Broadcast(branches))


def batches_of_batches() -> Graph:
    batches = [mp.Transform(same, f"b{n}", batch=n) for n in (4, 8)]
    return line(mp.Source([1], "s"), *batches, mp.Sink(same, "k"))


def behind_a_switch() -> Graph:
    a, b, c, d = streams(4)
    return system_graph(
        [
            mp.Source([1], "s", a),
            mp.Transform(switch, "switch", a, [b, c]),
            mp.Transform(same, "batch", b, d, batch=4),
            mp.Sink(same, "k", d),
            mp.Sink(same, "log", c),
        ]
    )


def to_several() -> Graph:
    a, b, c = streams(3)
    return system_graph(
        [
            mp.Source([1], "s", a),
            mp.Transform(switch, "batch", a, [b, c], batch=4),
            mp.Sink(same, "k", b),
            mp.Sink(same, "log", c),
        ]
    )


def of_a_join() -> Graph:
    a, b, c = streams(3)
    return system_graph(
        [
            mp.Source([1], "s", a),
            mp.Source([1], "t", b),
            mp.Transform(lambda x, y: x, "batch", [a, b], c, batch=4),
            mp.Sink(same, "k", c),
        ]
    )


def beside_single_items() -> Graph:
    """A sender that puts to two streams which meet again: its numbers are those of one region."""
    a, b, c, d = streams(4)
    return system_graph(
        [
            mp.Source([1], "s", a),
            mp.Transform(State(), "o", a, [b, c]),
            mp.Transform(same, "batch", b, d, batch=4),
            mp.Transform(same, "single", c, d),
            mp.Sink(same, "k", d),
        ]
    )


def with_a_flag() -> Graph:
    batches = mp.Transform(same, "batch", batch=4)

    class Flag:
        def is_set(self) -> bool:
            return False

    batches.set_term_flag(Flag())
    return line(mp.Source([1], "s"), batches, mp.Sink(same, "k"))


def in_a_loop() -> Graph:
    a, b = streams(2)
    a.put(1)
    return system_graph(
        [mp.Transform(same, "batch", a, b, batch=4), mp.Transform(same, "back", b, a)]
    )


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (beside_a_sink, "'log' takes them one by one from the same stream: let an object"),
        (two_sizes, "leads to 'b4', which makes batches (batch=4) and to 'b8', which makes"),
        (two_tails, "(batch=4) and to 'bTrue', which makes batches (batch=4, drop_last=True)"),
        (batches_of_batches, "takes the batches of 'b4', a function, which deals nothing out"),
        (behind_a_switch, "what 'switch' puts to one of 2 streams, and a bundle cannot go to"),
        (to_several, "it puts to 2 streams: let a Transform behind it say which batch goes"),
        (of_a_join, "it joins 2 streams: let a Transform before it join them"),
        (beside_single_items, "puts items one by one to stream 's2', too"),
        (with_a_flag, "it has a term flag, which would end it in the middle of a batch"),
        (in_a_loop, "it is in a loop, where items come round one by one: use mp.Batch there"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_right_is_refused_at_build(graph: Callable[[], Graph], words: str) -> None:
    with pytest.raises(mp.BuildError) as refused:
        graph()
    assert words in str(refused.value)
