"""The checked, frozen graph of a pipeline: segments, the streams between them, the regions.

A region is what shares numbers, epochs and an end: a connected component of stateless segments
with the senders that feed it and the receivers that confirm to them; or one stream between two
segments with state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from minipipe.errors import BuildError, OptionError
from minipipe.segment import Segment, unique_names
from minipipe.stream.wiring import InletSpec, OutletSpec, Role, Wiring

LEDGER_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True)
class GraphSegment:
    """One segment with all that was decided about it.  `declared` is None for the caller."""

    index: int
    name: str
    kind: str  # "source", "transform", "sink", "caller"
    declared: Segment | None
    n_processes: int
    buffer_size: int | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def stateless(self) -> bool:
        return self.declared is not None and self.declared.stateless

    @property
    def role(self) -> Role:
        if self.stateless:
            return Role.RELAY
        if self.kind == "sink" and self.declared is not None and not self.declared.shape.has_run:
            return Role.SINK
        return Role.ANCHOR

    def worker_name(self, index: int) -> str:
        return self.name if self.n_processes == 1 else f"{self.name}/{index}"


@dataclass(frozen=True)
class GraphStream:
    """One stream: who puts to it, who takes from it (segment indices)."""

    index: int
    name: str
    producers: tuple[int, ...]
    consumers: tuple[int, ...]


@dataclass(frozen=True)
class Region:
    """Streams that share numbers, epochs and an end."""

    index: int
    streams: frozenset[int]
    senders: frozenset[int]
    stateless: frozenset[int]
    receivers: frozenset[int]


@dataclass(frozen=True)
class Graph:
    """A pipeline that can run."""

    segments: tuple[GraphSegment, ...]
    streams: tuple[GraphStream, ...]

    @property
    def caller(self) -> GraphSegment | None:
        """The caller's loop, if the pipeline has an open end."""
        return next((s for s in self.segments if s.kind == "caller"), None)

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        leader = list(range(len(self.streams)))

        def find(i: int) -> int:
            while leader[i] != i:
                i = leader[i]
            return i

        for segment in self.segments:
            if segment.stateless:
                joined = [*segment.inputs, *segment.outputs]
                for stream in joined[1:]:
                    leader[find(stream)] = find(joined[0])
        regions = []
        for index, root in enumerate(sorted({find(i) for i in leader})):
            streams = frozenset(i for i in range(len(leader)) if find(i) == root)
            producers = {p for i in streams for p in self.streams[i].producers}
            consumers = {c for i in streams for c in self.streams[i].consumers}
            stateless = {s for s in producers | consumers if self.segments[s].stateless}
            regions.append(
                Region(
                    index,
                    streams,
                    frozenset(producers - stateless),
                    frozenset(stateless),
                    frozenset(consumers - stateless),
                )
            )
        return tuple(regions)

    def region_of(self, stream: int) -> Region:
        return next(r for r in self.regions if stream in r.streams)

    def _workers(self, segments: Sequence[int] | frozenset[int]) -> int:
        return sum(self.segments[i].n_processes for i in segments)

    def wiring(self, index: int) -> Wiring:
        """What a worker of this segment has to know."""
        segment = self.segments[index]
        inlets = []
        for number in segment.inputs:
            stream, region = self.streams[number], self.region_of(number)
            inlets.append(
                InletSpec(
                    number,
                    stream.name,
                    region.index,
                    segment.role,
                    producers=self._workers(stream.producers),
                    senders=self._workers(region.senders),
                    alone=self._workers(stream.consumers) == 1,
                    buffer_size=segment.buffer_size,
                )
            )
        outlets = []
        for number in segment.outputs:
            stream, region = self.streams[number], self.region_of(number)
            workers = self._workers(region.stateless | region.receivers)
            outlets.append(
                OutletSpec(
                    number,
                    stream.name,
                    region.index,
                    frozenset(stream.consumers),
                    region.receivers,
                    is_sender=index in region.senders,
                    ledger_bytes=LEDGER_BYTES,
                    ledger_items=2 * workers + 2,
                )
            )
        return Wiring(index, tuple(inlets), tuple(outlets))


def linear(
    segments: Sequence[Segment],
    n_processes: Sequence[int],
    buffer_sizes: Sequence[int | None],
) -> Graph:
    """The graph of a PipeLine.

    Raises:
        BuildError: it has no source, a second one, something behind a sink.
    """
    if not segments:
        raise BuildError("the pipeline is empty: add a Source first")
    if segments[0].kind != "source":
        raise BuildError(
            f"a pipeline begins with a Source, and {segments[0].where} is none: "
            "add mp.Source(...) before it"
        )
    names = unique_names(segments)
    nodes: list[GraphSegment] = []
    for i, segment in enumerate(segments):
        if i and segment.kind == "source":
            raise BuildError(
                f"{segment.where} is the second Source: a PipeLine has one, at its start"
            )
        if i and segments[i - 1].kind == "sink":
            raise BuildError(
                f"{segment.where} comes after {segments[i - 1].where}, which ends the pipeline"
            )
        if segment.kind == "source" and n_processes[i] != 1:
            raise OptionError(
                f"{segment.where} of a PipeLine runs in one process, got n_processes="
                f"{n_processes[i]}: let it yield cheap things (file names, indices) and do the "
                "work in a Transform behind it, with n_processes there"
            )
        nodes.append(
            GraphSegment(
                i,
                names[i],
                segment.kind,
                segment,
                n_processes[i],
                buffer_sizes[i],
                (i - 1,) if i else (),
                (i,) if segment.kind != "sink" else (),
            )
        )
    if nodes[-1].outputs:
        end = len(nodes)
        nodes.append(GraphSegment(end, "(caller)", "caller", None, 1, None, (end - 1,), ()))
    streams = tuple(
        GraphStream(i, f"{a.name} -> {b.name}", (i,), (i + 1,))
        for i, (a, b) in enumerate(pairwise(nodes))
    )
    return Graph(tuple(nodes), streams)
