"""Where the workers of a run may run, as their segments say, and what this machine has for them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from minipipe.errors import StartError
from minipipe.graph import Graph, GraphSegment
from minipipe.process.cpus import usable_cpus
from minipipe.process.gpus import visible_gpus
from minipipe.process.logs import SUMMARY, logger
from minipipe.protocol.hosts.names import ANY, LOCAL
from minipipe.protocol.hosts.offer import Offer
from minipipe.protocol.run.placement import Placement
from minipipe.protocol.run.room import PlacePatience, Wanted
from minipipe.segments.placing import place_of
from minipipe.supervisor.capture import Captured
from minipipe.supervisor.hosting import Hosting
from minipipe.supervisor.worker_handle import WorkerHandle


def wanted_by(handle: WorkerHandle) -> Wanted:
    """What a worker asks for."""
    segment = handle.segment
    declared = segment.declared
    gpus = None if declared is None else declared.gpus
    seat = handle.index if handle.seat is None else handle.seat
    return Wanted(handle.ident, segment.name, place_in(segment, seat), gpus)


def place_in(segment: GraphSegment, index: int) -> str:
    """Where the worker of this index may run: LOCAL, ANY, a tag, or the name of a machine."""
    on = None if segment.declared is None else segment.declared.on
    return place_of(on, index, ANY if segment.stateless else LOCAL)


def check_places(graph: Graph, captured: Mapping[int, Captured]) -> None:
    """Sees that who has to run on another machine can be sent there.

    Raises:
        StartError: its functor can only be inherited from this process.
    """
    for segment in graph.segments:
        one = captured.get(segment.index)
        if one is None or one.pickled is not None:
            continue
        for index in range(segment.n_processes):
            place = place_in(segment, index)
            if place not in (LOCAL, ANY):
                raise StartError(
                    f"a worker of {segment.kind} {segment.name!r} is to run on {place!r}, and "
                    f"{one.why}: on another machine it cannot be inherited; make the functor "
                    'picklable, or say on="local"'
                )


def placement_of(graph: Graph, hosting: Hosting) -> Placement:
    """What decides who runs where."""
    wants_gpus = any(s.declared is not None and s.declared.gpus for s in graph.segments)
    gpus = visible_gpus(os.environ) if wants_gpus else ()
    local = Offer(LOCAL, max(1, usable_cpus()), gpus, pid=os.getpid())
    places = [place_in(s, i) for s in graph.segments for i in range(s.n_processes)]
    kept = sum(place == LOCAL for place in places)
    return Placement(local, PlacePatience.of(hosting.place_timeout_s), kept=kept)


def note_without_hosts(graph: Graph) -> None:
    """Says, in one line, that all workers run here, if a segment has asked for other machines."""
    asked = [
        f"on={segment.declared.on!r} of {segment.declared.where}"
        for segment in graph.segments
        if segment.declared is not None and segment.declared.on not in (None, LOCAL, ANY)
    ]
    if asked:
        listed = ", ".join(asked)
        logger.log(SUMMARY, "all workers run here, as run() has no bind=: %s", listed)
