"""Says how far a run is: while it starts, and, with `monitor=True`, how full its streams are."""

from __future__ import annotations

import logging
from typing import Protocol

from minipipe.graph import Graph, GraphStream
from minipipe.process.logs import SUMMARY
from minipipe.protocol.run import lifecycle as life
from minipipe.supervisor.worker_handle import Watched

logger = logging.getLogger("minipipe")

EVERY_S = 1.0
STARTING_S = 10.0


class Progress(Protocol):
    """How far a run is."""

    @property
    def started(self) -> bool:
        """Whether all workers were ready, and told to start."""

    @property
    def stopping(self) -> bool:
        """Whether it is cut short."""

    @property
    def ready(self) -> int:
        """How many workers are ready to start."""


class Monitor:
    """Logs how full the monitored streams of a run are, every `EVERY_S` (an `Observer`).

    Before that, every `STARTING_S`, how many workers are ready: a thousand may take minutes.
    """

    def __init__(self, graph: Graph, processes: Watched, progress: Progress) -> None:
        self._graph = graph
        self._processes = processes
        self._progress = progress
        self._workers = sum(not handle.member.is_caller for handle in processes.handles.values())
        self._streams = [stream for stream in graph.streams if stream.monitor]
        self._next_s = 0.0
        self._starting_s: float | None = None
        self._asked_for = 0

    def event(self, event: life.Event, now_s: float) -> None:
        if isinstance(event, life.Tick) and not self._progress.stopping:
            if self._progress.started:
                self.log_if_due(now_s)
            else:
                self._log_start_if_due(now_s)

    def action(self, action: life.Action, now_s: float) -> None:
        if isinstance(action, life.Launch):
            self._asked_for += 1
            self._log_start_if_due(now_s)

    def due_in_s(self, now_s: float) -> float | None:
        if self._progress.stopping:
            return None
        if not self._progress.started:
            return STARTING_S if self._starting_s is None else max(0.0, self._starting_s - now_s)
        return max(0.0, self._next_s - now_s) if self._streams else None

    def _log_start_if_due(self, now_s: float) -> None:
        """Logs how many workers are ready, if it is time."""
        if self._starting_s is None:
            self._starting_s = now_s + STARTING_S
        if now_s < self._starting_s:
            return
        self._starting_s = now_s + STARTING_S
        logger.log(
            SUMMARY,
            "starting: %d of %d workers are ready (%d processes were asked for)",
            *(self._progress.ready, self._workers, self._asked_for),
        )

    def log_if_due(self, now_s: float) -> None:
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
        """Items on their way or waiting, as those who have sent them count, and how many may.

        (A worker that takes from it does not look at what has arrived while its functor is busy.)
        """
        waiting = capacity = 0
        for handle in self._processes.handles.values():
            outputs = self._graph.segments[handle.segment.index].outputs
            if stream.index in outputs:
                held, allowed = handle.vitals.occupancy(outputs.index(stream.index))
                waiting += held
                capacity += allowed
        return waiting, capacity
