"""`monitor=True`: says, while a run goes on, how full its streams are."""

from __future__ import annotations

import logging

from minipipe.graph import Graph, GraphStream
from minipipe.logs import SUMMARY
from minipipe.supervisor.crew import Crew

logger = logging.getLogger("minipipe")

EVERY_S = 1.0


class Monitor:
    """Logs how full the monitored streams of a run are, every `EVERY_S`."""

    def __init__(self, graph: Graph, crew: Crew) -> None:
        self._graph = graph
        self._crew = crew
        self._streams = [stream for stream in graph.streams if stream.monitor]
        self._next_s = 0.0

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until there is something to say; None: nothing is monitored."""
        return max(0.0, self._next_s - now_s) if self._streams else None

    def tell(self, now_s: float) -> None:
        """Logs a line for each monitored stream, if it is time."""
        if not self._streams or now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        for stream in self._streams:
            waiting, capacity = self._fullness(stream)
            share = f" ({100.0 * waiting / capacity:.0f} %)" if capacity else ""
            logger.log(
                SUMMARY, "stream %r: %d of %d items%s", stream.name, waiting, capacity, share
            )

    def _fullness(self, stream: GraphStream) -> tuple[int, int]:
        """Items that wait at all workers that take from it, and how many may."""
        waiting = capacity = 0
        for hand in self._crew.hands.values():
            inputs = self._graph.segments[hand.segment.index].inputs
            if stream.index in inputs:
                held, allowed = hand.fullness(inputs.index(stream.index))
                waiting += held
                capacity += allowed
        return waiting, capacity
