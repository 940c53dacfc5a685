"""What looks as if it was forgotten, once a run has ended well: a line of the log."""

from __future__ import annotations

from minipipe.graph import Graph
from minipipe.process.logs import logger
from minipipe.protocol.run.stats import RunStats
from minipipe.segments.functor_code import returns_nothing


def tell_forgotten(graph: Graph, stats: RunStats) -> None:
    """Warns of each Transform that has passed nothing on, and has no `return` of a value.

    (One that returns something at times drops what it likes: a filter.)
    """
    for segment in graph.segments:
        declared = segment.declared
        if declared is None or segment.kind != "transform" or not segment.outputs:
            continue
        if declared.max_failures is not None or declared.ignore_exceptions:
            continue  # what was skipped is said
        workers = stats.segment(segment.name)
        taken = sum(worker.items_in for worker in workers)
        given = sum(worker.items_out for worker in workers)
        if taken and not given and returns_nothing(declared.functor_obj):
            items = "its only item" if taken == 1 else f"all {taken} items"
            logger.warning(
                "%s: its functor returned None for %s: a forgotten return?", declared.where, items
            )
