"""Where items are dealt out in bundles: between a Transform that makes batches and its senders.

Whoever numbers items deals them out, so that there is one tail, and what is in a batch does not
depend on timing.  The stateless segments in between work on bundles, too, item by item.  So all
that a sender puts into such a region goes in bundles of one size, and whoever takes it takes
bundles.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from minipipe.errors import BuildError
from minipipe.graph.parts import GraphSegment, GraphStream, Region
from minipipe.protocol.delivery.bundles import Bundling
from minipipe.protocol.frozen import frozen

_PASS_ON = "let an object (a class with run) pass them on to"


@frozen
class BundlePlans:
    """The streams of a graph on which items travel in bundles."""

    segments: tuple[GraphSegment, ...]
    streams: tuple[GraphStream, ...]
    regions: tuple[Region, ...]

    @cached_property
    def by_stream(self) -> dict[int, Bundling]:
        """How the items of each of these streams are dealt out.

        Raises:
            BuildError: they cannot be, as somebody else needs them otherwise.
        """
        made_for: dict[int, GraphSegment] = {}  # by stream: whose batches it is for
        for segment in self.segments:
            if segment.batching is not None:
                _check_itself(segment)
                for stream in self._upstream(segment):
                    other = made_for.setdefault(stream, segment)
                    self._check_alike(segment, other, stream)
        for stream in made_for:
            self._check_takers(stream, made_for)
        return {
            stream: Bundling(batching.size, batching.drops_last, self._takers(stream, made_for))
            for stream, segment in made_for.items()
            if (batching := segment.batching) is not None
        }

    def _upstream(self, batches: GraphSegment) -> Iterable[int]:
        """The streams by which items come from those who number them."""
        todo, found = [batches.inputs[0]], set[int]()
        while todo:
            number = todo.pop()
            if number in found:
                continue
            found.add(number)
            for producer in (self.segments[i] for i in self.streams[number].producers):
                if producer.stateless:
                    _check_between(producer, batches)
                    todo += producer.inputs
        return sorted(found)

    def _check_alike(self, one: GraphSegment, other: GraphSegment, stream: int) -> None:
        a, b = one.batching, other.batching
        assert a is not None and b is not None
        if (a.size, a.drops_last) != (b.size, b.drops_last):
            name = self.streams[stream].name
            raise BuildError(
                f"stream {name!r} leads to {_said(other)} and to {_said(one)}, and its items are "
                f"dealt out once: give both the same, or {_PASS_ON} one of them"
            )

    def _check_takers(self, stream: int, made_for: dict[int, GraphSegment]) -> None:
        """Whoever takes from a stream of bundles takes bundles, and gets nothing else."""
        batches = made_for[stream]
        for i in self.streams[stream].consumers:
            taker = self.segments[i]
            if taker.batching is None and not self._passes_on(taker, made_for):
                raise BuildError(
                    f"{_said(batches)} of the items of stream {self.streams[stream].name!r}, which "
                    f"are dealt out in bundles for it, and {taker.name!r} takes them one by one "
                    f"from the same stream: {_PASS_ON} {batches.name!r}"
                )
        region = next(region for region in self.regions if stream in region.streams)
        for sender in (self.segments[i] for i in region.senders):
            for other in region.streams.intersection(sender.outputs):
                if other not in made_for:
                    raise BuildError(
                        f"{_said(batches)} of what {sender.name!r} deals out in bundles, and that "
                        f"puts items one by one to stream {self.streams[other].name!r}, too, which "
                        f"leads to the same segments: {_PASS_ON} {batches.name!r}"
                    )

    def _passes_on(self, taker: GraphSegment, made_for: dict[int, GraphSegment]) -> bool:
        return taker.stateless and len(taker.outputs) == 1 and taker.outputs[0] in made_for

    def _takers(self, stream: int, made_for: dict[int, GraphSegment]) -> frozenset[int]:
        region = next(region for region in self.regions if stream in region.streams)
        streams = region.streams.intersection(made_for)
        return frozenset(i for number in streams for i in self.streams[number].consumers)


def _said(segment: GraphSegment) -> str:
    batching = segment.batching
    assert batching is not None
    drops = ", drop_last=True" if batching.drops_last else ""
    return f"{segment.name!r}, which makes batches (batch={batching.size}{drops})"


def _check_itself(segment: GraphSegment) -> None:
    """Checks that a segment that makes batches has one stream to take from, and one to put to."""
    why = ""
    if segment.joins:
        why = f"it joins {len(segment.inputs)} streams: let a Transform before it join them"
    elif len(segment.outputs) > 1:
        why = (
            f"it puts to {len(segment.outputs)} streams: let a Transform behind it say which batch "
            "goes where"
        )
    elif segment.in_loop:
        why = "it is in a loop, where items come round one by one: use mp.Batch there"
    elif segment.flagged:
        why = "it has a term flag, which would end it in the middle of a batch"
    if why:
        raise BuildError(f"batch= makes no sense for {segment.kind} {segment.name!r}: {why}")


def _check_between(producer: GraphSegment, batches: GraphSegment) -> None:
    """Checks that a stateless segment can work on bundles."""
    if producer.batching is not None:
        raise BuildError(
            f"{_said(batches)}, takes the batches of {producer.name!r}, a function, which deals "
            "nothing out: add mp.Batch(n) instead, or make one of them an object (a class with run)"
        )
    if len(producer.outputs) > 1:
        raise BuildError(
            f"{_said(batches)}, is to take what {producer.name!r} puts to one of "
            f"{len(producer.outputs)} streams, and a bundle cannot go to several: {_PASS_ON} "
            f"{batches.name!r}"
        )
