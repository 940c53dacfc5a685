"""Whole graphs, run inline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minipipe.graph import Graph, Part, line_graph, system_graph
from minipipe.inline import InlineRun
from minipipe.segments.broadcast import Broadcast
from minipipe.segments.markers import EndOfStream
from minipipe.segments.segment import Segment

Ignored = tuple[type[BaseException], ...]


def line(*parts: Segment | Broadcast) -> Graph:
    return line_graph([Part(part) for part in parts])


def system(*segments: Segment) -> Graph:
    return system_graph(segments)


def finished(graph: Graph, ignored: Ignored | None = None) -> InlineRun:
    """A run that ends in Sinks, at its end."""
    run = InlineRun(graph, ignored)
    assert list(run.items()) == []
    return run


def outputs(graph: Graph, ignored: Ignored | None = None) -> list[Any]:
    """All that the open end of a graph puts out."""
    return list(InlineRun(graph, ignored).items())


def counts(run: InlineRun, segment: str) -> tuple[int, int, int]:
    """What went in, came out, and was dropped."""
    stats = run.stats()[segment]
    return stats.items_in, stats.items_out, stats.dropped


def cut(size: int) -> Iterator[Any]:
    """A Regulator's coroutine: rows of `size` items, the last one shorter."""
    row: list[Any] = []
    try:
        while True:
            row.append((yield))
            if len(row) == size:
                yield row
                row = []
    except EndOfStream:
        if row:
            yield row
