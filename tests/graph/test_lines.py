"""The graph of a PipeLine: its streams, their names, and what a Broadcast makes of it."""

from __future__ import annotations

import minipipe as mp
from minipipe.graph import Graph, Part, line_graph


def graph_of(*parts: mp.Segment | mp.Broadcast | Part) -> Graph:
    return line_graph([p if isinstance(p, Part) else Part(p) for p in parts])


def names(graph: Graph) -> list[str]:
    return [segment.name for segment in graph.segments]


def test_an_open_end_is_read_by_the_caller() -> None:
    graph = graph_of(mp.Source([1], "load"))
    assert graph.caller is not None
    assert [stream.name for stream in graph.streams] == ["load -> (caller)"]
    assert graph_of(mp.Source([1]), mp.Sink(print)).caller is None


def test_what_add_was_given_goes_before_what_the_segment_says() -> None:
    segment = mp.Transform(abs, "t", n_processes=2, buffer_size=5)
    graph = graph_of(mp.Source([1]), segment, Part(segment, n_processes=3, buffer_size=7))
    assert [(s.n_processes, s.buffer_size) for s in graph.segments[1:3]] == [(2, 5), (3, 7)]
    assert names(graph)[1:3] == ["t_0", "t_1"]


def test_the_keys_of_broadcasts_prefix_names_also_of_broadcasts_in_them() -> None:
    inner = mp.Broadcast({"x": mp.Sink(print, "end"), "y": mp.Sink(print, "end")})
    graph = graph_of(
        mp.Source([1], "load"),
        mp.Broadcast({"a": [mp.Transform(abs, "t"), inner], "b": mp.Transform(abs, "t")}),
    )
    assert names(graph) == ["load", "a/t", "a/x/end", "a/y/end", "b/t", "(caller)"]


def test_a_broadcast_is_one_stream_to_the_first_of_each_branch_and_one_from_their_ends() -> None:
    graph = graph_of(
        mp.Source([1], "load"),
        mp.Broadcast(
            [
                [mp.Transform(abs, "a"), mp.Transform(abs, "b")],
                mp.Sink(print, "c"),
                mp.Transform(abs, "d"),
            ]
        ),
        mp.Sink(print, "end"),
    )
    streams = {stream.name: stream.broadcast for stream in graph.streams}
    assert streams == {"load -> a, c, d": True, "a -> b": False, "b, d -> end": False}


def test_a_broadcast_in_front_of_a_branch_widens_the_one_before_it() -> None:
    inner = mp.Broadcast([mp.Sink(print, "x"), mp.Sink(print, "y")])
    graph = graph_of(mp.Source([1], "load"), mp.Broadcast([inner, mp.Sink(print, "z")]))
    assert [(s.name, s.broadcast) for s in graph.streams] == [("load -> x, y, z", True)]
