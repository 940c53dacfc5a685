"""What workers that are long dead have counted: a few numbers for each place, however many died."""

from __future__ import annotations

import time
from collections.abc import Iterable

from minipipe.protocol.run.stats import WorkerStats
from minipipe.supervisor.worker_handle import WorkerHandle

# Of the dead so many are known one by one, and all for so long: late words of theirs may come.
KEPT = 32
LATE_S = 5.0


class Counts:
    """The counters of the long dead, added up by their place (segment, index) and machine."""

    def __init__(self) -> None:
        self._past: dict[tuple[int, int, str], WorkerStats] = {}

    @property
    def of_long_dead(self) -> Iterable[WorkerStats]:
        """One for each place, and machine that it was on: what a machine counts never falls."""
        return self._past.values()

    def without_long_dead(self, handles: dict[int, WorkerHandle]) -> dict[int, WorkerHandle]:
        """Returns the others; of the long dead it keeps what they have counted, and nothing else.

        Args:
            handles: Not changed: somebody who asks for stats may be going through them.
        """
        ended = [handle for handle in handles.values() if handle.final is not None]
        dead = [handle for handle in ended if handle.result is None]
        before_s = time.monotonic() - LATE_S
        past = dict(self._past)
        for handle in dead[:-KEPT]:
            if handle.closed_s < before_s and handle.final is not None:
                place = (handle.segment.index, handle.index, handle.final.host)
                known = past.get(place)
                past[place] = handle.final if known is None else known.plus(handle.final)
                handles = {i: h for i, h in handles.items() if h is not handle}
        self._past = past
        return handles
