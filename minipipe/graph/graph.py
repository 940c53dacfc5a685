"""A graph: all that is decided before a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from minipipe.errors import BuildError
from minipipe.graph.bundles import BundlePlans
from minipipe.graph.joins import JoinPlans
from minipipe.graph.loops import Edge, Loops, find_loops
from minipipe.graph.parts import GraphSegment, GraphStream, Region
from minipipe.protocol.delivery.bundles import Bundling
from minipipe.protocol.frozen import frozen
from minipipe.protocol.wiring import Carried, InletSpec, OutletSpec, Role, Wiring

LEDGER_BYTES = 128 * 1024 * 1024


@frozen
class Graph:
    """A pipeline that can run."""

    segments: tuple[GraphSegment, ...]
    streams: tuple[GraphStream, ...]

    def __post_init__(self) -> None:
        fed = segments_in_order(self.segments, self.streams)
        ordered = tuple(replace(s, fed_in_order=s.index in fed) for s in self.segments)
        object.__setattr__(self, "segments", ordered)
        for segment in self.segments:
            segment.check_restart()
            segment.check_order()
            segment.check_share()
        _ = self.bundled  # looked at here, so that what is wrong is known at build
        for segment in self.segments:
            if segment.threads > 1:
                plans = self.join_plans
                segment.check_threads(
                    tombstones=bool(plans.tombstone_groups(segment))
                    or not plans.carries_tombstones.isdisjoint(segment.inputs),
                )
        names = [s.worker_name(i) for s in self.segments for i in range(s.n_processes)]
        for name in {name for name in names if names.count(name) > 1}:
            raise BuildError(f"two workers would have the same name, {name!r}: rename a segment")

    @property
    def caller(self) -> GraphSegment | None:
        """The caller's loop, if the pipeline has an open end."""
        return next((s for s in self.segments if s.kind == "caller"), None)

    @cached_property
    def loops(self) -> Loops:
        """The loops of the graph, and the edges that close them."""
        return find_loops(len(self.segments), edges_of(self.streams))

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

    @cached_property
    def _region_by_stream(self) -> Mapping[int, Region]:
        return {stream: region for region in self.regions for stream in region.streams}

    def region_of(self, stream: int) -> Region:
        return self._region_by_stream[stream]

    @cached_property
    def join_plans(self) -> JoinPlans:
        """Where the branches of joins have parted."""
        return JoinPlans(self.segments, self.streams)

    @cached_property
    def bundled(self) -> Mapping[int, Bundling]:
        """The streams on which items travel in bundles, and how they are dealt out."""
        return BundlePlans(self.segments, self.streams, self.regions).by_stream

    def wiring(self, index: int) -> Wiring:
        """What a worker of this segment has to know."""
        segment = self.segments[index]
        return Wiring(
            index,
            tuple(self._inlet(segment, number) for number in segment.inputs),
            tuple(self._outlet(segment, number) for number in segment.outputs),
            in_loop=segment.in_loop,
            pairs=self._pairs(index),
            tombstone_groups=self.join_plans.tombstone_groups(segment),
            carries_tombstones=any(
                number in self.join_plans.carries_tombstones for number in segment.inputs
            ),
        )

    def _pairs(self, index: int) -> Carried | None:
        plan = self.join_plans.by_join.get(index)
        return None if plan is None else Carried(index, plan.depth)

    def closers_of(self, number: int) -> frozenset[int]:
        """The senders whose items may come by this stream: it ends when they have closed.

        Not all of its region: one of the others may take from this very stream, and send later.
        """
        found: set[int] = set()
        streams = {number}
        todo = [number]
        while todo:
            for index in self.streams[todo.pop()].producers:
                producer = self.segments[index]
                if not producer.stateless:
                    found.add(index)
                    continue
                todo += {*producer.inputs} - streams
                streams |= {*producer.inputs}
        return frozenset(found)

    def _feeders(self, number: int) -> set[int]:
        """All segments from which items, or what is made of them, come by this stream."""
        found: set[int] = set()
        todo = [number]
        while todo:
            for index in self.streams[todo.pop()].producers:
                if index not in found:
                    found.add(index)
                    todo += self.segments[index].inputs
        return found

    def _inlet(self, segment: GraphSegment, number: int) -> InletSpec:
        stream, region = self.streams[number], self.region_of(number)
        closers = self.closers_of(number)
        loop = self.loops.members_with(segment.index)
        rivals = [segment.index] if stream.broadcast else stream.consumers
        closing = {p for p in stream.producers if Edge(p, number, segment.index) in self._closing}
        slot = (stream.consumers.index(segment.index), stream.slots) if stream.broadcast else None
        size = segment.buffer_size
        is_single = number not in self.bundled  # else one bundle is in work at a time
        if size is None and stream.buffer_size is None and segment.threads > 1 and is_single:
            size = segment.threads  # as many as are under way wait beside them
        return InletSpec(
            number,
            stream.name,
            region.index,
            segment.role,
            feeders=" and ".join(self.segments[p].name for p in stream.producers),
            producers=frozenset(stream.producers),
            closers=closers,
            region_senders=region.senders,
            rivals=frozenset(rivals),
            buffer_size=stream.buffer_size if size is None else size,
            slot=slot,
            unlimited=frozenset(closing),
            loop=loop,
            fed_by_loop=bool(loop.intersection(stream.producers)),
            ordered=segment.fed_in_order and number in self._ordered_streams,
            unforked=self._is_unforked(region),
            region_receivers=region.receivers,
            access=segment.access,
            bundling=self.bundled.get(number),
            shares_origin=any(
                self._feeders(number) & self._feeders(other)
                for other in segment.inputs
                if other != number
            ),
        )

    @cached_property
    def _ordered_streams(self) -> frozenset[int]:
        """The streams behind an `ordered` segment, up to the next segments with state."""
        return streams_in_order(self.segments, self.streams)

    def _is_unforked(self, region: Region) -> bool:
        """Whether an item of a region that is not dropped comes to one receiver, by one stream."""
        return (
            not any(self.streams[i].broadcast for i in region.streams)
            and all(len(self.segments[s].outputs) == 1 for s in region.stateless)
            and all(
                len(region.streams.intersection(self.segments[s].outputs)) == 1
                for s in region.senders
            )
            and all(
                len(region.streams.intersection(self.segments[r].inputs)) == 1
                for r in region.receivers
            )
        )

    @property
    def _closing(self) -> frozenset[Edge]:
        return self.loops.closing

    def _outlet(self, segment: GraphSegment, number: int) -> OutletSpec:
        stream, region = self.streams[number], self.region_of(number)
        consumers = frozenset(stream.consumers)
        return OutletSpec(
            number,
            stream.name,
            region.index,
            groups=tuple(frozenset({c}) for c in stream.consumers)
            if stream.broadcast
            else (consumers,),
            receivers=region.receivers,
            is_sender=segment.index in region.senders,
            ledger_bytes=LEDGER_BYTES,
            holders=region.stateless | region.receivers,
            broadcast=stream.broadcast,
            carried=self.join_plans.carried(number),
            loop=self.loops.members_with(segment.index),
            ordered_receivers=frozenset(
                r
                for r in region.receivers
                if any(i in self._ordered_streams & region.streams for i in self.segments[r].inputs)
            ),
            exclusive=not stream.broadcast
            and all(self.segments[c].role is Role.STATEFUL for c in stream.consumers),
            bundling=self.bundled.get(number),
        )


def streams_in_order(
    segments: Sequence[GraphSegment], streams: Sequence[GraphStream]
) -> frozenset[int]:
    """The streams on which what an `ordered` segment has put out is on its way."""
    found: set[int] = set()
    todo = [i for s in segments if s.puts_in_order for i in s.outputs]
    while todo:
        number = todo.pop()
        if number not in found:
            found.add(number)
            for index in streams[number].consumers:
                if segments[index].stateless:
                    todo += segments[index].outputs
    return frozenset(found)


def segments_in_order(
    segments: Sequence[GraphSegment], streams: Sequence[GraphStream]
) -> frozenset[int]:
    """The segments with state that such streams lead to."""
    fed = {c for i in streams_in_order(segments, streams) for c in streams[i].consumers}
    return frozenset(i for i in fed if not segments[i].stateless)


def edges_of(streams: Iterable[GraphStream]) -> list[Edge]:
    """Who feeds whom through which stream."""
    return [Edge(p, s.index, c) for s in streams for p in s.producers for c in s.consumers]
