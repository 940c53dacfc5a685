"""The functors of all segments, as they are when a run begins."""

from __future__ import annotations

from minipipe.graph import Graph
from minipipe.protocol.item_seeds import RunSeeds
from minipipe.supervisor.capture import Captured, capture, check_apart
from minipipe.supervisor.gpus import deal
from minipipe.supervisor.placing import check_places, note_without_hosts
from minipipe.supervisor.run_options import RunOptions


def capture_all(
    graph: Graph,
    options: RunOptions,
    ignored: tuple[type[BaseException], ...] | None,
    seeds: RunSeeds,
) -> dict[int, Captured]:
    """Captures them, by the index of their segment.

    Args:
        ignored: replaces `ignore_exceptions` of all segments, if given.

    Raises:
        StartError: one can neither be pickled nor inherited, or not run where it is to.
    """
    declared = [s.declared for s in graph.segments if s.declared is not None]
    flags = [segment.term_flag for segment in declared if segment.term_flag is not None]
    # Where there are other machines, each worker is given its GPUs with its place.
    gpus = {} if options.hosting is not None else deal(graph)
    captured = {
        s.index: capture(
            s,
            s.declared,
            s.declared.ignore_exceptions if ignored is None else ignored,
            flags,
            seed=seeds.drawn if options.seed is None else options.seed,
            gpus=gpus.get(s.index),
            worker_init=options.worker_init,
        )
        for s in graph.segments
        if s.declared is not None
    }
    check_apart(captured.values())
    if options.hosting is not None:
        check_places(graph, captured)
    else:
        note_without_hosts(graph)
    return captured
