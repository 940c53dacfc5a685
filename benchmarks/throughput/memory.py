"""`python -m benchmarks.throughput.memory MARK`: the peak PSS of the processes with this mark.

A process of its own, outside of what it looks at.  Prints the peak, in bytes, when its stdin ends.
"""

from __future__ import annotations

import os
import select
import sys
import time

from benchmarks.throughput.peers.process_tree import processes, pss_bytes

LOOK_EVERY_S = 0.05
# The kernel walks all page tables for a look and holds the process's lock on them meanwhile:
# at most a twentieth of the time goes into looks.
REST_PER_LOOK = 20.0
SEARCH_EVERY_S = 0.5  # workers come at the start, and live as long as the run


def main() -> None:
    """Looks until stdin ends."""
    mark, peak, pids, searched_s = sys.argv[1], 0, set[int](), 0.0
    rest_s = 0.0
    while not select.select([sys.stdin], [], [], rest_s)[0]:
        began_s = time.monotonic()
        if began_s - searched_s > SEARCH_EVERY_S or len(pids) < 2:
            pids, searched_s = processes(mark) - {os.getpid()}, began_s
        peak = max(peak, pss_bytes(pids))
        rest_s = max(LOOK_EVERY_S, REST_PER_LOOK * (time.monotonic() - began_s))
    print(peak)


if __name__ == "__main__":
    main()
