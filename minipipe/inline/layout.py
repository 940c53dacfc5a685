"""From a graph to stages and the ways between them."""

from __future__ import annotations

from collections.abc import Sequence

from minipipe.graph import Graph, GraphSegment
from minipipe.graph.graph import edges_of
from minipipe.graph.loops import Edge
from minipipe.inline.connections import Connection, Outlet, RoundRobin
from minipipe.inline.joins import Join, KeyedJoin, ZipJoin
from minipipe.inline.kinds import FunctionStage, RegulatorStage, SourceStage
from minipipe.inline.stage import Stage

KINDS: dict[str, type[Stage]] = {
    "source": SourceStage,
    "transform": FunctionStage,
    "sink": FunctionStage,
    "regulator": RegulatorStage,
}


def stages_of(graph: Graph, ignored: tuple[type[BaseException], ...] | None) -> dict[int, Stage]:
    """A stage for each segment but the caller's loop, by segment; with their outlets."""
    stages: dict[int, Stage] = {}
    for segment in graph.segments:
        declared = segment.declared
        if declared is not None:
            skipped = declared.ignore_exceptions if ignored is None else ignored
            join = _join(graph, segment)
            stages[segment.index] = KINDS[segment.kind](segment, declared, skipped, join)
    turns = [RoundRobin() for _ in graph.streams]
    for index, stage in stages.items():
        stage.keeps_identity = graph.join_plans.passes(stage.segment)
        for number in stage.segment.outputs:
            stage.outlets.append(_outlet(graph, stages, index, number, turns))
    return stages


def _join(graph: Graph, segment: GraphSegment) -> Join | None:
    if not segment.joins:
        return None
    where = f"{segment.kind} {segment.name!r}"
    names = [graph.streams[i].name for i in segment.inputs]
    plan = graph.join_plans.by_join.get(segment.index)
    if plan is not None:
        return KeyedJoin(where, names, plan.fork)
    loop = graph.loops.members_with(segment.index)
    from_loop = [bool(loop.intersection(graph.streams[i].producers)) for i in segment.inputs]
    strict = getattr(segment.declared, "strict", True)
    return ZipJoin(where, names, from_loop, strict=strict)


def _outlet(
    graph: Graph,
    stages: dict[int, Stage],
    index: int,
    number: int,
    turns: Sequence[RoundRobin],
) -> Outlet:
    segment, stream = graph.segments[index], graph.streams[number]
    connections = [
        Connection(
            stages.get(consumer),
            graph.segments[consumer].inputs.index(number),
            _closed_loop(graph, Edge(index, number, consumer)),
        )
        for consumer in stream.consumers
    ]
    forks = len(segment.outputs) > 1
    step = (("segment", index), segment.outputs.index(number)) if forks else None
    return Outlet(number, connections, None if stream.broadcast else turns[number], step=step)


def _closed_loop(graph: Graph, edge: Edge) -> int | None:
    if edge not in graph.loops.closing:
        return None
    return next(i for i, loop in enumerate(graph.loops.members) if edge.consumer in loop)


def in_order(graph: Graph) -> list[int]:
    """The segments, each behind all that feed it (but for the edges that close loops)."""
    feeders: dict[int, set[int]] = {segment.index: set() for segment in graph.segments}
    for edge in edges_of(graph.streams):
        if edge not in graph.loops.closing:
            feeders[edge.consumer].add(edge.producer)
    order: list[int] = []
    while feeders:
        free = [index for index, fed_by in feeders.items() if not fed_by]
        assert free, "what is left over without the edges that close loops has no loop"
        order += free
        for index in free:
            del feeders[index]
        for fed_by in feeders.values():
            fed_by.difference_update(free)
    return order
