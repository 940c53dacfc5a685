"""From a PipeSystem's segments, joined by the streams they share, to its graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from minipipe.errors import BuildError
from minipipe.graph.from_pipeline import named, unique_names
from minipipe.graph.graph import Graph, edges_of
from minipipe.graph.loops import find_loops
from minipipe.graph.parts import GraphSegment, GraphStream
from minipipe.segments.kinds import Source
from minipipe.segments.segment import Segment
from minipipe.segments.streams import Stream


def system_graph(pipes: Sequence[Any], *, monitor: bool = False, final: bool = True) -> Graph:
    """The graph of a PipeSystem.

    `final`: it is about to run, so what is not seeded by now never will be.

    Raises:
        BuildError: a stream or a segment lacks an end, there are two graphs in it, a join has
            several workers, a loop cannot end.
    """
    declared = _checked(pipes)
    streams = _streams(declared)
    for stream in streams:
        _check_ends(stream, declared)
    # What a stream holds before the run comes from a source of its own.
    seeded = [stream for stream in streams if stream.seeds]
    all_segments: list[tuple[Segment, list[Stream], list[Stream]]] = [
        (s, list(s.upstreams), list(s.downstreams)) for s in declared
    ]
    for stream in seeded:
        seeds = Source(list(stream.seeds), f"seeds of {stream.name}".replace("/", "_"))
        all_segments.append((seeds, [], [stream]))
    names = unique_names([s.name for s, _, _ in all_segments])
    number = {id(stream): i for i, stream in enumerate(streams)}
    segments = [
        GraphSegment(
            i,
            names[i],
            segment.kind,
            segment,
            segment.n_processes,
            segment.buffer_size,
            tuple(number[id(s)] for s in inputs),
            tuple(number[id(s)] for s in outputs),
        )
        for i, (segment, inputs, outputs) in enumerate(all_segments)
    ]
    drawn = [_stream(i, stream, segments, monitor) for i, stream in enumerate(streams)]
    loops = find_loops(len(segments), edges_of(drawn))
    looping = {i for loop in loops.members for i in loop}
    segments = [replace(s, in_loop=s.index in looping) for s in segments]
    graph = Graph(tuple(segments), tuple(drawn))
    _check_joins(graph)
    _check_connected(graph)
    for loop in loops.members:
        _check_loop(graph, loop, final=final)
    return graph


def _checked(pipes: Sequence[Any]) -> list[Segment]:
    if isinstance(pipes, Segment):
        raise BuildError(f"mp.PipeSystem takes a list of segments, got {pipes!r}")
    found: list[Segment] = []
    for pipe in pipes:
        if isinstance(pipe, type) and issubclass(pipe, Segment):
            raise BuildError(
                f"a PipeSystem is made of segments, got the class: write mp.{pipe.__name__}(...)"
            )
        if not isinstance(pipe, Segment):
            raise BuildError(f"a PipeSystem is made of segments, got {pipe!r} in it")
        if any(pipe is other for other in found):
            raise BuildError(
                f"{pipe.where} is in the PipeSystem twice: make another one, or give it n_processes"
            )
        found.append(pipe)
    if not found:
        raise BuildError("the system is empty: PipeSystem([mp.Source(...), ...])")
    for pipe in found:
        if pipe.kind != "source" and not pipe.upstreams:
            raise BuildError(f"{pipe.where} takes from no stream: give it upstreams=[...]")
        if pipe.kind != "sink" and not pipe.downstreams:
            raise BuildError(
                f"{pipe.where} puts to no stream: give it downstreams=[...] (or make it a Sink)"
            )
        pipe.check_call(len(pipe.upstreams))
    return found


def _streams(segments: Sequence[Segment]) -> list[Stream]:
    found: dict[int, Stream] = {}
    for segment in segments:
        for stream in (*segment.upstreams, *segment.downstreams):
            found.setdefault(id(stream), stream)
    return list(found.values())


def _check_ends(stream: Stream, segments: Sequence[Segment]) -> None:
    feeders = [s for s in segments if stream in s.downstreams]
    takers = [s for s in segments if stream in s.upstreams]
    if not takers:
        raise BuildError(
            f"nobody takes from stream {stream.name!r}, which {_names(feeders)} puts to: give it "
            "to a segment as one of its upstreams, such as mp.Sink(..., upstreams=[stream])"
        )
    if not feeders and not stream.seeds:
        raise BuildError(
            f"nobody puts to stream {stream.name!r}, which {_names(takers)} takes from: give it "
            "to a segment as one of its downstreams, or seed it with stream.put(item)"
        )


def _names(segments: Sequence[Segment]) -> str:
    return " and ".join(s.where for s in segments)


def _stream(
    index: int, stream: Stream, segments: Sequence[GraphSegment], monitor: bool
) -> GraphStream:
    made = GraphStream(
        index,
        stream.name,
        tuple(s.index for s in segments if index in s.outputs),
        tuple(s.index for s in segments if index in s.inputs),
        broadcast=stream.broadcast,
        buffer_size=stream.buffer_size,
        monitor=monitor or stream.monitor,
    )
    return named(made, segments) if stream.name == "stream" else made


def _check_joins(graph: Graph) -> None:
    for segment in graph.segments:
        if segment.joins and segment.n_processes != 1:
            raise BuildError(
                f"{segment.name!r} joins {len(segment.inputs)} streams, so it runs in one process, "
                f"got n_processes={segment.n_processes}: let it pass the joined items on, and do "
                "the work in a Transform behind it, with n_processes there"
            )
    _ = graph.join_plans.by_join  # looked at here, so that what is wrong is known at build


def _check_connected(graph: Graph) -> None:
    reached = {0}
    frontier = [0]
    while frontier:
        segment = graph.segments[frontier.pop()]
        for number in (*segment.inputs, *segment.outputs):
            stream = graph.streams[number]
            for other in (*stream.producers, *stream.consumers):
                if other not in reached:
                    reached.add(other)
                    frontier.append(other)
    apart = [s.name for s in graph.segments if s.index not in reached]
    if apart:
        raise BuildError(
            f"there are two graphs in this PipeSystem: nothing joins {graph.segments[0].name!r} "
            f"and {apart[0]!r}; make a PipeSystem of each (they may run at the same time)"
        )


def _check_loop(graph: Graph, loop: frozenset[int], *, final: bool) -> None:
    members = [graph.segments[i] for i in sorted(loop)]
    names = " -> ".join(repr(s.name) for s in members)
    outside = {p for s in members for i in s.inputs for p in graph.streams[i].producers} - loop
    if not outside and final:
        raise BuildError(
            f"nothing ever comes into the loop of {names}: seed one of its streams with "
            "stream.put(item), or let a Source put to it"
        )
