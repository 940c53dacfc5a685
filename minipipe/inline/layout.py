"""From a graph to stages and the ways between them."""

from __future__ import annotations

from collections.abc import Sequence

from minipipe.graph import Graph, GraphSegment
from minipipe.graph.graph import edges_of
from minipipe.graph.loops import Edge
from minipipe.inline.bundles import BundleStage, BundlingOutlet
from minipipe.inline.connections import Connection, Outlet, RoundRobin
from minipipe.inline.joins import Join, KeyedJoin, Waiting, ZipJoin
from minipipe.inline.kinds import OperatorStage, SourceStage
from minipipe.inline.stage import Stage
from minipipe.protocol.wiring import OutletSpec, Wiring


def stages_of(graph: Graph, ignored: tuple[type[BaseException], ...] | None) -> dict[int, Stage]:
    """A stage for each segment but the caller's loop, by segment; with their outlets."""
    stages: dict[int, Stage] = {}
    for segment in graph.segments:
        declared = segment.declared
        if declared is not None:
            skipped = declared.ignore_exceptions if ignored is None else ignored
            wiring = graph.wiring(segment.index)
            kind: type[Stage] = SourceStage if segment.kind == "source" else OperatorStage
            if any(inlet.bundling is not None for inlet in wiring.inlets):
                kind = BundleStage
            join = join_of(segment, wiring)
            stages[segment.index] = kind(segment, declared, wiring, skipped, join)
    turns = [RoundRobin() for _ in graph.streams]
    for index, stage in stages.items():
        for spec in graph.wiring(index).outlets:
            stage.outlets.append(_outlet(graph, stages, index, spec, turns))
    return stages


def join_of(segment: GraphSegment, wiring: Wiring) -> Join | None:
    """What holds the parts of a segment that joins; None: it does not."""
    if not segment.joins:
        return None
    where = f"{segment.kind} {segment.name!r}"
    if wiring.pairs is not None:
        return KeyedJoin(where, [inlet.name for inlet in wiring.inlets], wiring.pairs)
    waiting = [Waiting(inlet.name, inlet.fed_by_loop) for inlet in wiring.inlets]
    return ZipJoin(where, waiting, strict=getattr(segment.declared, "strict", True))


def _outlet(
    graph: Graph,
    stages: dict[int, Stage],
    index: int,
    spec: OutletSpec,
    turns: Sequence[RoundRobin],
) -> Outlet:
    number, stream = spec.stream, graph.streams[spec.stream]
    connections = [
        Connection(
            stages.get(consumer),
            graph.segments[consumer].inputs.index(number),
            _closed_loop(graph, Edge(index, number, consumer)),
        )
        for consumer in stream.consumers
    ]
    if spec.bundling is not None:
        return BundlingOutlet(spec, spec.bundling, connections, turns[number])
    return Outlet(spec, connections, turns[number])


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
