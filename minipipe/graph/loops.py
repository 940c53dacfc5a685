"""Loops: which segments are in one, and which edges close it.

The edge that closes a loop takes no credit: with bounds all the way round, a loop whose
buffers are full could never move again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minipipe.protocol.frozen import frozen


class Edge(NamedTuple):
    """A producing segment, a stream, a consuming segment."""

    producer: int
    stream: int
    consumer: int


@frozen
class Loops:
    """All loops of a graph."""

    members: tuple[frozenset[int], ...]  # the segments of each
    closing: frozenset[Edge]

    def members_with(self, segment: int) -> frozenset[int]:
        """The segments of the loop that this one is in; empty if it is in none."""
        return next((loop for loop in self.members if segment in loop), frozenset())


def find_loops(segments: int, edges: Sequence[Edge]) -> Loops:
    """The loops among segments 0 .. `segments` - 1.

    A loop is a strongly connected component with an edge in it; what closes it are the back
    edges of a depth-first walk (Tarjan 1972), begun at the segments that nothing feeds.
    """
    out: dict[int, list[Edge]] = {i: [] for i in range(segments)}
    fed = set()
    for edge in edges:
        out[edge.producer].append(edge)
        fed.add(edge.consumer)
    roots = [i for i in range(segments) if i not in fed]
    roots += [i for i in range(segments) if i in fed]
    walk = _Walk(out)
    for root in roots:
        walk.begin(root)
    loops = []
    for component in walk.components:
        inside = [e for i in component for e in out[i] if e.consumer in component]
        if inside:
            loops.append(component)
    return Loops(tuple(loops), frozenset(walk.back_edges))


class _Walk:
    """Tarjan's walk, with a stack of its own, as a pipeline may be longer than Python's."""

    def __init__(self, out: dict[int, list[Edge]]) -> None:
        self.out = out
        self.components: list[frozenset[int]] = []
        self.back_edges: list[Edge] = []
        self._order: dict[int, int] = {}
        self._low: dict[int, int] = {}
        self._open: list[int] = []  # seen, and not yet in a component
        self._on_way: set[int] = set()  # between the root and where the walk is

    def begin(self, root: int) -> None:
        if root in self._order:
            return
        todo = [(root, self._enter(root))]
        while todo:
            node, edges = todo[-1]
            edge = next(edges, None)
            if edge is None:
                todo.pop()
                self._leave(node)
                if todo:
                    parent = todo[-1][0]
                    self._low[parent] = min(self._low[parent], self._low[node])
            elif edge.consumer not in self._order:
                todo.append((edge.consumer, self._enter(edge.consumer)))
            elif edge.consumer in self._open:
                self._low[node] = min(self._low[node], self._order[edge.consumer])
                if edge.consumer in self._on_way:
                    self.back_edges.append(edge)

    def _enter(self, node: int) -> Iterator[Edge]:
        self._order[node] = self._low[node] = len(self._order)
        self._open.append(node)
        self._on_way.add(node)
        return iter(self.out[node])

    def _leave(self, node: int) -> None:
        self._on_way.discard(node)
        if self._low[node] != self._order[node]:
            return
        component = set()
        while node not in component:
            component.add(self._open.pop())
        self.components.append(frozenset(component))
