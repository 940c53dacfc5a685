"""Whether the branches that a join joins stem from the same items, and where they part."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from minipipe.errors import BuildError

if TYPE_CHECKING:
    from minipipe.graph.graph import Graph, GraphSegment

# The fork's identity, and the output or slot: forks are segments ("s", index) with several
# outputs, and broadcasts ("b", stream).
RouteStep = tuple[tuple[str, int], int]


class Route(NamedTuple):
    """How items come to a join: from a sender's output, by these forks."""

    sender: tuple[int, int]  # segment, stream: each output of a sender has numbers of its own
    steps: tuple[RouteStep, ...]


def pairing_depth(graph: Graph, join: GraphSegment) -> int | None:
    """How many steps the paths of parts that belong together have in common.

    None if the branches of `join` do not stem from the same items: then it joins in step.

    Raises:
        BuildError: that differs from one way to another, so that parts could be mistaken.
    """
    branches = [_routes(graph, number, join.index) for number in join.inputs]
    if len({frozenset(route.sender for route in branch) for branch in branches}) != 1:
        return None
    depths = set()
    for i, branch in enumerate(branches):
        for j, others in enumerate(branches):
            if i == j:
                continue
            for route in branch:
                depths.add(max(_parting(route, other) for other in others))
    if -1 in depths:
        return None  # some items come by one branch only, as with shared work
    if len(depths) > 1:
        name = join.name
        raise BuildError(
            f"the branches that {name!r} joins part at more than one place, so that it cannot "
            "be told which of their items belong together: join the inner branches first"
        )
    return depths.pop()


def _parting(one: Route, other: Route) -> int:
    """After how many steps two routes part by a fork; -1 if they do not."""
    if one.sender != other.sender:
        return -1
    for depth, (a, b) in enumerate(zip(one.steps, other.steps, strict=False)):
        if a != b:
            return depth if a[0] == b[0] else -1
    return -1


def _routes(graph: Graph, number: int, consumer: int) -> list[Route]:
    """All routes by which items come to `consumer` through this stream."""
    stream = graph.streams[number]
    last: tuple[RouteStep, ...] = ()
    if stream.broadcast:
        last = ((("b", number), stream.consumers.index(consumer)),)
    found = []
    for index in stream.producers:
        producer = graph.segments[index]
        if not producer.stateless:
            found.append(Route((index, number), last))
            continue
        step = last
        if len(producer.outputs) > 1:
            step = ((("s", index), producer.outputs.index(number)), *last)
        for route in _routes(graph, producer.inputs[0], index):
            found.append(Route(route.sender, (*route.steps, *step)))
    return found
