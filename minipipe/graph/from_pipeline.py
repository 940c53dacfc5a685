"""From a PipeLine's parts, one behind the other, to its graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from minipipe.errors import BuildError
from minipipe.graph.graph import Graph
from minipipe.graph.parts import GraphSegment, GraphStream
from minipipe.protocol.frozen import frozen
from minipipe.segments.broadcast import Broadcast
from minipipe.segments.segment import Segment


@frozen
class Part:
    """What was given to one `add`."""

    declared: Segment | Broadcast
    n_processes: int | None = None  # None: each segment's own
    buffer_size: int | None = None


def line_graph(parts: Sequence[Part], *, monitor: bool = False) -> Graph:
    """The graph of a PipeLine.

    Raises:
        BuildError: it has no source, a second one, something behind a sink.
    """
    _check(parts)
    line = _Line(monitor=monitor)
    ends = line.row([(part, "") for part in parts])
    if ends:
        caller = line.segment("(caller)", "caller", None, 1, None)
        line.connect(ends, [caller], broadcast=False)
    return line.graph()


def _check(parts: Sequence[Part]) -> None:
    if not parts:
        raise BuildError("the pipeline is empty: add a Source first")
    first = parts[0].declared
    if not isinstance(first, Segment) or first.kind != "source":
        raise BuildError(
            f"a pipeline begins with a Source, and {first.where} is none: "
            "add mp.Source(...) before it"
        )
    before: Segment | Broadcast = first
    for part in parts:
        declared = part.declared
        if isinstance(declared, Segment) and declared.kind == "source":
            if declared is not first or part is not parts[0]:
                raise BuildError(
                    f"{declared.where} is the second Source: a PipeLine has one, at its start "
                    "(a PipeSystem may have several)"
                )
        elif isinstance(before, Segment) and before.kind == "sink":
            raise BuildError(
                f"{declared.where} comes after {before.where}, which ends the pipeline"
            )
        before = declared


@dataclass
class _Line:
    """The graph under construction."""

    monitor: bool
    segments: list[GraphSegment] = field(default_factory=list)
    streams: list[GraphStream] = field(default_factory=list)

    def row(self, parts: Sequence[tuple[Part, str]]) -> list[int]:
        """Puts parts one behind the other; returns the open ends of the last."""
        ends: list[int] = []
        for i, (part, prefix) in enumerate(parts):
            heads, tails = self.part(part, prefix)
            if i:
                self._extend(ends, heads, part.declared, parts[i - 1][0].declared)
            ends = tails
        return ends

    def _extend(
        self,
        ends: list[int],
        heads: list[int],
        declared: Segment | Broadcast,
        before: Segment | Broadcast,
    ) -> None:
        if not ends:
            raise BuildError(
                f"nothing comes to {declared.where}: all branches of the {before.where} "
                "before it end in Sinks"
            )
        self.connect(ends, heads, broadcast=isinstance(declared, Broadcast))

    def part(self, part: Part, prefix: str) -> tuple[list[int], list[int]]:
        """Adds a part; returns the segments that take its input, and its open ends."""
        declared = part.declared
        if isinstance(declared, Segment):
            index = self.segment(
                prefix + declared.name,
                declared.kind,
                declared,
                part.n_processes or declared.n_processes,
                declared.buffer_size if part.buffer_size is None else part.buffer_size,
            )
            return [index], [] if declared.kind == "sink" else [index]
        heads: list[int] = []
        tails: list[int] = []
        for key, branch in declared.branches:
            inner = f"{prefix}{key}/" if key else prefix
            first, ends = self.part(Part(branch[0]), inner)
            heads += first
            for before, following in pairwise(branch):
                entry, out = self.part(Part(following), inner)
                self._extend(ends, entry, following, before)
                ends = out
            tails += ends
        return heads, tails

    def segment(
        self,
        name: str,
        kind: str,
        declared: Segment | None,
        n_processes: int,
        buffer_size: int | None,
    ) -> int:
        index = len(self.segments)
        self.segments.append(
            GraphSegment(index, name, kind, declared, n_processes, buffer_size, (), ())
        )
        return index

    def connect(self, producers: list[int], consumers: list[int], *, broadcast: bool) -> None:
        self.streams.append(
            GraphStream(
                len(self.streams),
                "",
                tuple(producers),
                tuple(consumers),
                broadcast=broadcast,
                monitor=self.monitor,
            )
        )

    def graph(self) -> Graph:
        own = [s.name for s in self.segments if s.declared is not None]
        names = [*unique_names(own), *(s.name for s in self.segments if s.declared is None)]
        segments = [
            replace(
                segment,
                name=names[segment.index],
                inputs=tuple(s.index for s in self.streams if segment.index in s.consumers),
                outputs=tuple(s.index for s in self.streams if segment.index in s.producers),
            )
            for segment in self.segments
        ]
        return Graph(tuple(segments), tuple(named(s, segments) for s in self.streams))


def named(stream: GraphStream, segments: Sequence[GraphSegment]) -> GraphStream:
    """The stream, called after those whom it joins."""
    producers = ", ".join(segments[i].name for i in stream.producers)
    consumers = ", ".join(segments[i].name for i in stream.consumers)
    return replace(stream, name=f"{producers} -> {consumers}")


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, with `_0`, `_1`, ... where one is used more than once."""
    seen: dict[str, int] = {}
    unique: list[str] = []
    for name in names:
        if names.count(name) == 1:
            unique.append(name)
            continue
        number = seen.get(name, 0)
        seen[name] = number + 1
        unique.append(f"{name}_{number}")
    if len(set(unique)) < len(unique):
        raise BuildError(f"two segments would have the same name: {', '.join(unique)}")
    return unique
