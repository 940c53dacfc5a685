"""What a run says of itself beside its counters: what limits it."""

from __future__ import annotations

import math
import time

from minipipe.graph import Graph, GraphSegment
from minipipe.observe.load import SegmentFacts, SegmentLoad, loads
from minipipe.observe.verdict import Verdict, verdict
from minipipe.process.cpus import idle_cpu_s, usable_cpus
from minipipe.protocol.run.stats import RunStats
from minipipe.segments.kinds import Source


class Insight:
    """Judges one run, from its start on.

    The machine may be shared: what others take of it cannot be had.

    Attributes:
        facts: what is known of its segments before it runs.
    """

    def __init__(self, graph: Graph) -> None:
        self.facts = segment_facts(graph)
        self._idle_s = idle_cpu_s()
        self._began_s = time.monotonic()
        self._idle_cores: float | None = None

    @property
    def total(self) -> int | None:
        """How many items its Source makes, if it has one, and that is known."""
        lengths = [fact.length for fact in self.facts if fact.kind == "source"]
        return lengths[0] if len(lengths) == 1 else None

    def loads(self, stats: RunStats) -> tuple[SegmentLoad, ...]:
        """What each segment has done so far."""
        return loads(stats, self.facts)

    def end(self) -> None:
        """The run has ended: from here on the machine does something else."""
        if self._idle_cores is None:
            self._idle_cores = self._idle_now()

    def verdict(self, stats: RunStats) -> Verdict | None:
        """What has limited the run so far; None: nothing, or too little is known."""
        idle = self._idle_now() if self._idle_cores is None else self._idle_cores
        return verdict(self.loads(stats), usable_cpus(), idle, stats.links)

    def _idle_now(self) -> float:
        """How many cores were idle so far, on average; all of them, if that is not known."""
        now_s, lasted_s = idle_cpu_s(), time.monotonic() - self._began_s
        if now_s is None or self._idle_s is None or lasted_s <= 0:
            return math.inf
        return (now_s - self._idle_s) / lasted_s


def segment_facts(graph: Graph) -> tuple[SegmentFacts, ...]:
    """What is known of its segments before they run."""
    return tuple(
        SegmentFacts(
            s.name,
            s.kind,
            _is_scalable(s),
            _length(s),
            writable=s.declared is not None and s.declared.writable,
            asked=s.n_processes,
        )
        for s in graph.segments
    )


def _is_scalable(segment: GraphSegment) -> bool:
    """Whether it may be declared with more workers."""
    return segment.kind in ("transform", "sink") and not segment.joins


def _length(segment: GraphSegment) -> int | None:
    """How many items a Source makes in all its epochs; None: that is not known."""
    source = segment.declared
    if not isinstance(source, Source) or source.length is None:
        return None
    return source.length * source.epochs * segment.n_processes
