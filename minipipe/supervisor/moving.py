"""A machine wants to go: who of its workers goes on elsewhere, and who has to stay."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

from minipipe.graph import GraphSegment
from minipipe.process.logs import SUMMARY
from minipipe.protocol.run.events import MoveAsked
from minipipe.supervisor.hosts import notices
from minipipe.supervisor.hosts.base import HostLeaves
from minipipe.supervisor.processes import WorkerProcesses

logger = logging.getLogger("minipipe")


def why_fixed(segment: GraphSegment) -> str:
    """Why workers of it can neither join nor leave in mid-run; nothing if they can."""
    if segment.kind != "transform":
        return f"it is a {segment.kind}, only Transforms can be"
    if segment.stateless:
        return ""
    if segment.joins:
        return "it joins streams, so it keeps state"
    if segment.in_loop:
        return "it is in a loop, so it keeps state"
    if segment.flagged:
        return "it has a term flag, so it keeps state"
    return "it keeps state (restart=True says that each item stands alone for it)"


def moves_of(leaves: HostLeaves, processes: WorkerProcesses) -> Iterator[MoveAsked]:
    """What follows for the workers of a machine that wants to go; says so in the log."""
    moving, staying = Counter[str](), Counter[str]()
    asked: list[int] = []
    for worker in leaves.workers:
        handle = processes.handles[worker]
        # Who would share what it inherits from this process cannot be one more.
        is_inherited = processes.captured[handle.segment.index].pickled is None
        if why_fixed(handle.segment) or is_inherited:
            staying[handle.segment.name] += 1
        else:
            moving[handle.segment.name] += 1
            handle.moves = True
            asked.append(worker)
    line = notices.leaving(leaves.host, leaves.why, moving, staying)
    logger.log(logging.WARNING if staying else SUMMARY, "%s", line)
    if asked:
        yield MoveAsked(tuple(asked))
