"""The order in which items are taken through a graph, and in which segments end.

Depth first: what an item becomes is worked off before the next item of a Source is taken, and
outputs are worked off in order, each before the next one is asked for.  What closes a loop has
to wait until the rest is done; before the next item of a Source, everything that waits so goes
round once.  (An item that goes round for ever does not keep the others from coming into the
loop, and the items in a loop are bounded by how often each goes round.)
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from minipipe.codec import Unreadable
from minipipe.graph import Graph
from minipipe.inline.connections import Delivery, Identity
from minipipe.inline.kinds import SourceStage
from minipipe.inline.layout import in_order
from minipipe.inline.stage import Stage
from minipipe.operators.work_item import WorkItem
from minipipe.protocol.delivery.numbering import in_words

logger = logging.getLogger("minipipe")


PAUSE = object()  # yielded between the items of Sources: somebody may look at a clock


class StopWished(Exception):
    """Somebody has called `stop()`, who does not drive the run himself."""


class Flow:
    """Takes everything through, lazily: yields what comes to the caller's loop.

    Args:
        wish: gives "stop" or "drain" once that is wished.
    """

    def __init__(
        self, graph: Graph, stages: Mapping[int, Stage], wish: Callable[[], str] = str
    ) -> None:
        self._wish = wish
        self._graph = graph
        self._stages = stages
        self._order = [stages[i] for i in in_order(graph) if i in stages]
        self._sources = deque(s for s in stages.values() if isinstance(s, SourceStage))
        self._rounds: list[deque[Delivery]] = [deque() for _ in graph.loops.members]
        self._caller_stream = 0 if graph.caller is None else graph.caller.inputs[0]
        self._may_quit = [s for s in stages.values() if s.may_quit]

    def items(self) -> Iterator[Any]:
        """Runs until all Sources have ended and nothing goes round."""
        while self._sources or any(self._rounds):
            yield PAUSE
            news = False
            if self._wish() == "drain":
                for source in self._sources:
                    source.quit()
                for stage in self._order:
                    stage.drain()
            for rounds in self._rounds:
                for _ in range(len(rounds)):
                    yield from self._work(rounds.popleft())
                    news = news or not rounds
            if self._sources:
                source = self._sources.popleft()
                arrivals = source.next()
                if arrivals is None:
                    news = True
                else:
                    self._sources.append(source)
                    yield from self._through(arrivals)
            if news or any(not stage.takes and not stage.ended for stage in self._may_quit):
                yield from self._end_what_can()
        assert all(stage.ended for stage in self._order)

    def _work(self, arrival: Delivery) -> Iterator[Any]:
        """Works off what has gone round, and what becomes of it."""
        connection, item = arrival
        assert connection.stage is not None
        if connection.stage.takes:
            yield from self._through(connection.stage.take(connection.inlet, item))

    def _through(self, arrivals: Iterable[Delivery]) -> Iterator[Any]:
        """Works these off, and what becomes of them; but what closes a loop waits."""
        stack = [iter(arrivals)]
        while stack:
            if self._wish() == "stop":
                raise StopWished
            arrival = next(stack[-1], None)
            if arrival is None:
                stack.pop()
                continue
            connection, item = arrival
            stage = connection.stage
            if stage is None:
                yield self._shown(item)
            elif connection.loop is not None:
                self._rounds[connection.loop].append(arrival)
            elif stage.takes:
                stack.append(iter(stage.take(connection.inlet, item)))

    def _shown(self, item: WorkItem[Identity]) -> Any:
        """The item, for the caller's loop.

        Raises:
            UnreadableItemError: it could not be made there from what processes would send.
        """
        shown = item.shown
        if type(shown) is Unreadable:
            feeders = self._graph.streams[self._caller_stream].producers
            names = " and ".join(self._graph.segments[p].name for p in feeders)
            which = f"item {in_words(item.number)}"
            shown.error.add_note(f"minipipe: {which}, which came from {names!r} to the loop here")
            raise shown.error
        return shown

    # --------------------------------------------------------- the end of streams
    def _end_what_can(self) -> Iterator[Any]:
        """Ends, from the Sources on, every segment to which nothing can come any more."""
        for stage in self._order:
            if stage.ended:
                continue
            if isinstance(stage, SourceStage):
                if not any(outlet.is_open for outlet in stage.outlets):
                    stage.quit()  # all who took from it have quit
                goes_on = not stage.quits
            else:
                self._tell_joins(stage)
                goes_on = not stage.quits and self._is_fed(stage)
            if not goes_on:
                stage.takes = False  # what it still gives may go round, and not come back
                yield from self._through(stage.finish())
                yield from self._through(stage.last_bundles())
                stage.ended = True
                logger.info("%s: End of stream", stage.segment.name)

    def _tell_joins(self, stage: Stage) -> None:
        """Tells a join which of its upstreams have ended."""
        if stage.join is None or stage.quits:
            return
        for inlet, number in enumerate(stage.segment.inputs):
            fed = any(not self._stages[p].ended for p in self._graph.streams[number].producers)
            round_ = (a.connection for rounds in self._rounds for a in rounds)
            if not fed and not any(w.stage is stage and w.inlet == inlet for w in round_):
                stage.inlet_ended(inlet)

    def _is_fed(self, stage: Stage) -> bool:
        """Whether anything can still come to it, or to the loop that it is in."""
        index, graph = stage.segment.index, self._graph
        loop = graph.loops.members_with(index)
        if loop and self._rounds[graph.loops.members.index(loop)]:
            return True
        members = loop or {index}
        inputs = {number for member in members for number in graph.segments[member].inputs}
        feeders = {p for number in inputs for p in graph.streams[number].producers} - members
        return any(not self._stages[feeder].ended for feeder in feeders)
