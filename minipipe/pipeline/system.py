"""`PipeSystem`: any graph of segments."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from minipipe.errors import BuildError, reject_unknown
from minipipe.graph import Graph, system_graph
from minipipe.pipeline.persistent import check_unseeded, checked_persistent
from minipipe.pipeline.runnable import Runnable
from minipipe.segments.segment import Segment


class PipeSystem(Runnable):
    """Segments in any order, joined by the streams that they share.

        numbers, sums = mp.Stream(), mp.Stream()
        psys = mp.PipeSystem([
            mp.Source(loader, downstreams=[numbers]),
            mp.Transform(add, upstreams=[numbers], downstreams=[sums], n_processes=2),
            mp.Sink(save, upstreams=[sums]),
        ])
        psys.run()
        results = psys.close()

    Args:
        pipes: the segments, each with its upstreams and downstreams.
        persistent: its workers stay for more passes over the data, as those of a PipeLine.
    """

    def __init__(
        self, pipes: Sequence[Segment], *, persistent: bool = False, **unknown: Any
    ) -> None:
        reject_unknown(unknown, ("pipes", "persistent"), "PipeSystem")
        super().__init__(persistent=checked_persistent(persistent))
        self._pipes = pipes

    @property
    def pipes(self) -> list[Segment]:
        return [pipe for pipe in self._pipes if isinstance(pipe, Segment)]

    @property
    def segments(self) -> list[Segment]:
        """Its segments, as they were given."""
        return self.pipes

    def _make_graph(self, monitor: bool, *, final: bool = False) -> Graph:
        graph = system_graph(self._pipes, monitor=monitor, final=final)
        if self.persistent:
            check_unseeded(s for pipe in self.pipes for s in (*pipe.upstreams, *pipe.downstreams))
        for pipe in self.pipes:
            owner = pipe.system() if pipe.system is not None else None
            if owner is not None and owner is not self:
                raise BuildError(
                    f"{pipe.where} is in another PipeSystem already, and its streams with it: "
                    "make segments and streams of their own for each"
                )
        for pipe in self.pipes:
            pipe.system = weakref.ref(self)
        return graph

    def _before_run(self) -> None:
        """Takes what the streams were seeded with by now."""
        monitored = self._monitored
        self._graph = self._make_graph(monitored, final=True)
        for pipe in self.pipes:
            for stream in (*pipe.upstreams, *pipe.downstreams):
                stream.q.used = True
