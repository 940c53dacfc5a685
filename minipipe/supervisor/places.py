"""Where the workers of a run may run, by what its segments have declared and their functors are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from minipipe.errors import StartError
from minipipe.graph import Graph, GraphSegment
from minipipe.process.cpus import usable_cpus
from minipipe.process.gpus import visible_gpus
from minipipe.process.logs import SUMMARY, logger
from minipipe.protocol.hosts.names import LOCAL
from minipipe.protocol.hosts.offer import Offer
from minipipe.protocol.run.placement import Placement, PlacePatience
from minipipe.protocol.run.room import Wanted
from minipipe.segments.segment import Segment
from minipipe.supervisor.capture import Captured
from minipipe.supervisor.gpus import GpuShare, stays_here
from minipipe.supervisor.hosting import Hosting


class Places:
    """Of one run that other machines may join.

    Args:
        captured: the functors of its segments.

    Raises:
        StartError: a functor that has to be inherited is to run elsewhere.
    """

    def __init__(self, graph: Graph, captured: Mapping[int, Captured]) -> None:
        self._graph, self._captured = graph, captured
        for segment in graph.segments:
            if segment.declared is not None:
                check_place(segment.declared, captured[segment.index])

    def wanted(self, worker: int, segment: GraphSegment, index: int) -> Wanted:
        """What the worker of this index of a segment asks for."""
        declared = segment.declared
        if declared is None or self._captured[segment.index].pickled is None:
            return Wanted(worker, segment.name, LOCAL)
        place = declared.place_of(index)
        # What stays here was dealt out beforehand, as in a run of one machine.
        gpus = None if stays_here(declared, segment.n_processes) else declared.gpus
        return Wanted(worker, segment.name, place, gpus)

    def placement(
        self,
        hosting: Hosting,
        shares: Mapping[int, GpuShare],
        visible: Callable[[], tuple[str, ...]] = lambda: visible_gpus(os.environ),
    ) -> Placement:
        """Who decides where they go.

        Args:
            shares: the GPUs of segments that stay here.
            visible: finds the GPUs of this machine; asked only if somebody may want one.
        """
        wanted = [
            self.wanted(0, segment, index)
            for segment in self._graph.segments
            if segment.declared is not None
            for index in range(segment.n_processes)
        ]
        gpus = visible() if any(one.gpus for one in wanted) else ()
        in_use = [
            gpu
            for segment in self._graph.segments
            if segment.index in shares
            for index in range(segment.n_processes)
            for gpu in shares[segment.index].of(index).split(",")
        ]
        return Placement(
            Offer(LOCAL, usable_cpus(), gpus),
            PlacePatience.of(hosting.place_timeout_s),
            kept=sum(one.place == LOCAL for one in wanted),
            gpus_in_use=in_use,
        )


def check_place(declared: Segment, captured: Captured) -> None:
    """Sees that a functor that has to be inherited was not sent elsewhere.

    Raises:
        StartError: it was.
    """
    if captured.pickled is None and declared.on not in (None, LOCAL):
        raise StartError(
            f"{captured.why}, so its workers are forked from this process; on={declared.on!r} asks "
            "for other machines, and it cannot be inherited there: make the functor picklable, or "
            "say on='local'"
        )


def note_without_hosts(graph: Graph) -> None:
    """Says, in one line, that all workers run here, if somebody has asked for something else."""
    asked = [
        f"on={segment.declared.on!r} of {segment.declared.where}"
        for segment in graph.segments
        if segment.declared is not None and segment.declared.on not in (None, LOCAL, "any")
    ]
    if asked:
        listed = ", ".join(asked)
        logger.log(SUMMARY, "all workers run here, as run() has no bind=: %s", listed)
