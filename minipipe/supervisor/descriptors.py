"""Whether there are enough file descriptors for a run, looked at before anything starts.

Without them libzmq ends the process, or a worker never comes to answer.
"""

from __future__ import annotations

import os
import resource

from minipipe.errors import StartError
from minipipe.graph import Graph

# What was counted, rounded up: sockets of libzmq, pipes, sockets to zygotes, status pages.
OWN = 40
FOR_EACH_WORKER = 7  # in the supervisor: two pipes, its page, a connection each way
FOR_EACH_PEER = 3  # in a worker: an inbox's connection, an outlet with its own


def check_descriptors(graph: Graph) -> None:
    """Sees that neither the supervisor nor a worker will run out of descriptors.

    Raises:
        StartError: the limit is too low.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return
    workers = sum(segment.n_processes for segment in graph.segments)
    here = _open_now() + FOR_EACH_WORKER * workers
    if graph.caller is not None:
        here += FOR_EACH_PEER * workers
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
