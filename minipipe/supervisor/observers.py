"""Observers of a run: they see every event of its life, and every action that follows.

Another one is a file of its own, and one line in `Run._make`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from minipipe.graph import Graph
from minipipe.process.describe import in_a_line
from minipipe.protocol.run import lifecycle as life

if TYPE_CHECKING:
    from minipipe.supervisor.tracing import Tracing


class Observer(Protocol):
    """Sees the life of one run, in the conductor's thread.

    An error in it is one of the supervisor's own: it ends the run by a stop (`Broke`).
    """

    def event(self, event: life.Event, now_s: float) -> None:
        """Something has happened; what is to be done about it is decided next."""

    def action(self, action: life.Action, now_s: float) -> None:
        """Something was decided, and done."""

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until it has something to do at a `Tick`; None: it has nothing."""


class Observers:
    """Shows everything to several observers, in their order.

    Args:
        failed: an error of an observer's, and what it was shown, in words.
    """

    def __init__(
        self, observers: Sequence[Observer], failed: Callable[[BaseException, str], None]
    ) -> None:
        self._observers = tuple(observers)
        self._failed = failed

    def event(self, event: life.Event, now_s: float) -> None:
        """Shows an event to all of them."""
        for observer in self._observers:
            try:
                observer.event(event, now_s)
            except Exception as error:  # of any kind: workers that are well must save their work
                if isinstance(event, life.Broke):
                    # One that fails at everything would fail at its own failure, without end.
                    event.cause.add_note(f"minipipe: then an observer failed: {in_a_line(error)}")
                else:
                    self._failed(error, _shown(event, observer))

    def action(self, action: life.Action, now_s: float) -> None:
        """Shows an action to all of them."""
        for observer in self._observers:
            try:
                observer.action(action, now_s)
            except Exception as error:  # as above
                self._failed(error, _shown(action, observer))

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until the first of them has something to do."""
        times = [observer.due_in_s(now_s) for observer in self._observers]
        return min((time_s for time_s in times if time_s is not None), default=None)


def tracing_of(graph: Graph, trace: str | bool) -> Tracing | None:
    """What gathers what workers do when, if that is wished.

    Args:
        trace: for this file, or for whoever asks.
    """
    if not trace:
        return None
    from minipipe.supervisor.tracing import Tracing

    return Tracing(graph, trace if isinstance(trace, str) else None)


def _shown(what: life.Event | life.Action, observer: Observer) -> str:
    return f"showing {type(what).__name__} to {type(observer).__name__}"
