"""How many items come out of a pipeline, as far as its Sources say how many they have.

What a functor drops, or skips, nobody knows beforehand: so these are numbers for a progress bar.
"""

from __future__ import annotations

from minipipe.graph.graph import Graph
from minipipe.graph.parts import GraphSegment, GraphStream
from minipipe.segments.kinds import Source


def length_of(graph: Graph) -> int | None:
    """How many items the caller's loop gets if nothing is dropped; None: it is not known."""
    caller = graph.caller
    if caller is None or any(graph.loops.members):
        return None
    return _stream(graph, graph.streams[caller.inputs[0]])


def _stream(graph: Graph, stream: GraphStream) -> int | None:
    """How many come by a stream to each of its consumers."""
    if len(stream.consumers) > 1 and not stream.broadcast:
        return None  # who gets how many is a matter of timing
    counts = [_segment(graph, graph.segments[i]) for i in stream.producers]
    return None if None in counts else sum(count for count in counts if count is not None)


def _segment(graph: Graph, segment: GraphSegment) -> int | None:
    """How many one segment puts to its only stream."""
    declared = segment.declared
    if declared is None or len(segment.outputs) != 1:
        return None
    if isinstance(declared, Source):
        return None if declared.length is None else declared.length * declared.epochs
    if len(segment.inputs) != 1 or segment.flagged:
        return None
    count = _stream(graph, graph.streams[segment.inputs[0]])
    if count is None:
        return None
    if segment.batching is not None:  # each who numbers items has a last, shorter batch of its own
        senders = graph.region_of(segment.inputs[0]).senders
        if sum(graph.segments[i].n_processes for i in senders) > 1:
            return None
    return declared.length_behind(count, segment.n_processes)
