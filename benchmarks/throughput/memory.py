"""`python -m benchmarks.throughput.memory MARK`: the peak PSS of the processes with this mark.

A process of its own, outside of what it looks at.  Prints the peak, in bytes, when its stdin ends.
"""

from __future__ import annotations

import select
import sys
import time

from benchmarks.throughput.peers.process_tree import processes, pss_bytes

LOOK_EVERY_S = 0.02
# The kernel walks all page tables for a look and holds the process's lock on them meanwhile.
# What is watched is not timed, but it shall still run much as it does unwatched.
REST_PER_LOOK = 3.0


def main() -> None:
    """Looks until stdin ends."""
    mark, peak, rest_s = sys.argv[1], 0, 0.0
    while not select.select([sys.stdin], [], [], rest_s)[0]:
        began_s = time.monotonic()
        # Anew each time: a run may be shorter than its workers take to be noticed otherwise.
        peak = max(peak, pss_bytes(processes(mark)))
        rest_s = max(LOOK_EVERY_S, REST_PER_LOOK * (time.monotonic() - began_s))
    print(peak)


if __name__ == "__main__":
    main()
