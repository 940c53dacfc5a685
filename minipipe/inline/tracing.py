"""What each segment of an inline run does when: one after the other, in one thread."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from minipipe.graph import Graph
from minipipe.inline.functor import SegmentFunctor
from minipipe.observe.span_buffer import SpanBuffer, room_of, size_bytes, unpacked, used
from minipipe.observe.timeline import Timeline, Track, resolved
from minipipe.protocol.run.vital_signs import Activity


class InlineTracing:
    """Has all segments write it down, and what the caller's loop does between two items."""

    def __init__(self, graph: Graph, functors: Iterable[SegmentFunctor]) -> None:
        self._graph = graph
        self._room = room_of(len(graph.segments))
        self._began_ns = time.monotonic_ns()
        self._ended_ns = self._handed_ns = self._items = 0
        self._memory = {s.index: bytearray(size_bytes(self._room)) for s in graph.segments}
        for functor in functors:
            functor.spans = self._buffer(functor.segment.index)
        self._caller = None if graph.caller is None else self._buffer(graph.caller.index)

    def _buffer(self, index: int) -> SpanBuffer:
        return SpanBuffer(self._memory[index], self._room, self._began_ns)

    def asked(self) -> None:
        """The caller's loop asks for an item: what it did with the one before is over."""
        if self._handed_ns and self._caller is not None:
            self._caller.add(Activity.BUSY, self._handed_ns, time.monotonic_ns(), self._items)
            self._handed_ns = 0

    def handed(self) -> None:
        """The caller's loop has an item."""
        self._handed_ns = time.monotonic_ns()
        self._items += 1  # they may come of several segments, so here they are numbered anew

    def end(self) -> None:
        """The run has ended."""
        self._ended_ns = self._ended_ns or time.monotonic_ns()

    def timeline(self) -> Timeline:
        """What all have done so far."""
        now_ns = self._ended_ns or time.monotonic_ns()
        end, gone_ns = ("gone", now_ns) if self._ended_ns else ("running", None)
        tracks = []
        for segment in self._graph.segments:
            spans = resolved(unpacked(used(self._memory[segment.index])[1]))
            about = (segment.index + 1, segment.name, segment.name, os.getpid())
            tracks.append(Track(*about, 0, gone_ns, end, spans))
        names = tuple(segment.name for segment in self._graph.segments)
        return Timeline(self._began_ns, now_ns, names, tuple(tracks))
