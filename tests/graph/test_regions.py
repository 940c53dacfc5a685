"""Regions: what shares numbers and an end; whom the end of a stream waits for."""

from __future__ import annotations

import pytest

import minipipe as mp
from minipipe.graph import Graph, Part, line_graph, system_graph
from minipipe.protocol.delivery.headcount import Headcount
from minipipe.protocol.wiring import Role, Wiring


class State:
    def run(self, x: object) -> object:
        return x


def same(x: object) -> object:
    return x


def line(*segments: mp.Segment | mp.Broadcast) -> Graph:
    return line_graph([Part(segment) for segment in segments])


def by_name(graph: Graph, name: str) -> int:
    return next(s.index for s in graph.segments if s.name == name)


def headcount(graph: Graph) -> Headcount:
    return Headcount({s.index: s.n_processes for s in graph.segments})


@pytest.mark.parametrize("several", [2, 5])
def test_no_wiring_depends_on_how_many_workers_there_are(several: int) -> None:
    def wirings(count: int) -> list[Wiring]:
        s, t, u = mp.Stream("s"), mp.Stream("t"), mp.Stream("u")
        systems = [
            system_graph(
                [
                    mp.Source([1], "one", s),
                    mp.Transform(same, "a", s, [t, u], n_processes=count),
                    mp.Sink(same, "keep", t, n_processes=count),
                    mp.Sink(State(), "state", u, n_processes=count),
                ]
            ),
            line(
                mp.Source([1], "source"),
                mp.Transform(same, "ordered", n_processes=count, ordered=True),
                mp.Transform(State(), "in order", n_processes=1),
                mp.Broadcast([mp.Sink(same, name, n_processes=count) for name in "xyz"]),
            ),
        ]
        return [graph.wiring(s.index) for graph in systems for s in graph.segments]

    assert wirings(1) == wirings(several)


def test_stateless_segments_are_in_one_region_from_source_to_sink() -> None:
    graph = line(mp.Source([1]), mp.Transform(same, "a"), mp.Transform(same, "b"), mp.Sink(same))
    (region,) = graph.regions
    assert (region.senders, region.stateless, region.receivers) == ({0}, {1, 2}, {3})


def test_a_segment_with_state_parts_two_regions() -> None:
    graph = line(mp.Source([1]), mp.Transform(State()), mp.Sink(same))
    assert [r.senders for r in graph.regions] == [{0}, {1}]
    assert [r.receivers for r in graph.regions] == [{1}, {2}]


def test_a_join_a_flag_and_a_loop_are_state() -> None:
    s, t, u, v = (mp.Stream(name) for name in "stuv")
    flagged = mp.Transform(same, "flagged", t, u)

    class Flag:
        def is_set(self) -> bool:
            return False

    flagged.set_term_flag(Flag())
    graph = system_graph(
        [
            mp.Source([1], "source", s),
            mp.Transform(lambda x: [None, x], "loop", s, [s, t]),
            flagged,
            mp.Source([1], "other", v),
            mp.Sink(lambda x, y: None, "join", [u, v]),
        ]
    )
    roles = {segment.name: segment.role for segment in graph.segments}
    assert roles == {
        "source": Role.STATEFUL,
        "loop": Role.STATEFUL,
        "flagged": Role.STATEFUL,
        "other": Role.STATEFUL,
        "join": Role.STATEFUL,
    }
    assert [s.name for s in graph.segments if s.in_loop] == ["loop"]


def test_every_stream_is_in_one_region_and_every_end_is_known_in_it() -> None:
    graph = line(
        mp.Source([1]),
        mp.Broadcast([mp.Transform(State()), mp.Transform(same), mp.Sink(same)]),
        mp.Transform(same),
        mp.Sink(State()),
    )
    streams = [stream for region in graph.regions for stream in region.streams]
    assert sorted(streams) == list(range(len(graph.streams)))
    for segment in graph.segments:
        for number in segment.outputs:
            region = graph.region_of(number)
            assert segment.index in (region.stateless if segment.stateless else region.senders)
        for number in segment.inputs:
            region = graph.region_of(number)
            assert segment.index in (region.stateless if segment.stateless else region.receivers)


def test_a_stream_ends_with_those_alone_whose_items_come_by_it() -> None:
    # `state` takes from the region of the Source and sends into the same one, because of `plain`:
    # it must not wait for its own end.
    graph = line(
        mp.Source([1], "source"),
        mp.Broadcast(
            [
                mp.Transform(State(), "state", n_processes=2),
                mp.Transform(same, "plain"),
            ]
        ),
        mp.Sink(State(), "keep"),
    )
    source, state, keep = (by_name(graph, name) for name in ("source", "state", "keep"))
    (region,) = graph.regions
    assert region.senders == {source, state} and region.receivers == {state, keep}
    (before,) = graph.wiring(state).inlets
    (after,) = graph.wiring(keep).inlets
    assert before.closers == {source} and headcount(graph).at_inlet(before).senders == 1
    assert after.closers == {source, state} and headcount(graph).at_inlet(after).senders == 3


def test_the_workers_of_all_getters_and_putters_are_counted() -> None:
    s, t = mp.Stream("s"), mp.Stream("t")
    graph = system_graph(
        [
            mp.Source([1], "one", s),
            mp.Source([1], "two", s),
            mp.Transform(same, "a", s, t, n_processes=2),
            mp.Transform(same, "b", s, t, n_processes=3),
            mp.Sink(same, "keep", t),
        ]
    )
    a, keep = by_name(graph, "a"), by_name(graph, "keep")
    (inlet,) = graph.wiring(a).inlets
    counts = headcount(graph).at_inlet(inlet)
    assert (counts.producers, counts.senders, counts.is_alone) == (2, 2, False)
    (inlet,) = graph.wiring(keep).inlets
    counts = headcount(graph).at_inlet(inlet)
    assert (counts.producers, counts.senders, counts.is_alone) == (5, 2, True)


def test_the_edge_that_closes_a_loop_takes_no_credit_and_no_other_does_without() -> None:
    enter, back, out = (mp.Stream(name) for name in ("enter", "back", "out"))
    graph = system_graph(
        [
            mp.Source([1], "source", enter),
            mp.Transform(lambda x: [None, x], "try", enter, [back, out]),
            mp.Transform(same, "back", back, enter),
            mp.Sink(same, "keep", out),
        ]
    )
    unlimited = {
        (graph.segments[p].name, segment.name)
        for segment in graph.segments
        for inlet in graph.wiring(segment.index).inlets
        for p in inlet.unlimited
    }
    assert unlimited == {("back", "try")}
    (inlet,) = graph.wiring(by_name(graph, "try")).inlets
    counts = headcount(graph).at_inlet(inlet)
    assert (counts.senders, counts.outer_senders) == (2, 1)
