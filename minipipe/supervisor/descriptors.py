"""Whether there are enough file descriptors for a run, looked at before anything starts.

Without them libzmq ends the process, or a worker never comes to answer.
"""

from __future__ import annotations

import os
import resource

from minipipe.errors import StartError
from minipipe.graph import Graph, GraphSegment

# What was counted, rounded up: sockets of libzmq, pipes, sockets to zygotes, status pages.
OWN = 40
FOR_EACH_WORKER = 7  # in the supervisor: three pipes, its page, a connection from it, its orders
FOR_EACH_PEER = 3  # in a worker: an inbox's connection, an outlet with its own


def check_descriptors(graph: Graph) -> None:
    """Sees that neither the supervisor nor a worker will run out of descriptors.

    Raises:
        StartError: the limit is too low.
    """
    workers = sum(segment.n_processes for segment in graph.segments)
    _check(graph, workers, workers)


def check_more(graph: Graph, segment: GraphSegment, workers: int) -> None:
    """Sees the same before a segment of a run that is on gets so many workers.

    Raises:
        StartError: the limit is too low.
    """
    others = sum(other.n_processes for other in graph.segments if other is not segment)
    _check(graph, others + workers, max(0, workers - segment.n_processes))


def _check(graph: Graph, workers: int, new: int) -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return
    here = _open_now() + FOR_EACH_WORKER * new
    if graph.caller is not None:
        here += FOR_EACH_PEER * new
    needed = OWN + max(here, FOR_EACH_PEER * workers)
    if needed > limit:
        raise StartError(
            f"this run of {workers} workers needs about {needed} file descriptors, and a process "
            f"may have {limit}: raise the limit (ulimit -n {max(1024, needed)})"
        )


def _open_now() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 16  # no Linux: as many as there are usually
