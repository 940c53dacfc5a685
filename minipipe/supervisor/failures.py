"""Failures that a segment's budget allows: counted, said, and at last too many."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from minipipe.errors import TooManyFailuresError
from minipipe.graph import Graph
from minipipe.pure.budget import LAST, Budget
from minipipe.worker.failure import Failure

logger = logging.getLogger("minipipe")


class Failures:
    """The budgets of all segments.

    Args:
        items_in: how many items a segment has taken, by its index.
    """

    def __init__(self, graph: Graph, items_in: Callable[[int], int]) -> None:
        self._graph = graph
        self._items_in = items_in
        self._budgets = {
            s.index: Budget(s.declared.max_failures)
            for s in graph.segments
            if s.declared is not None and s.declared.max_failures is not None
        }
        self._last: dict[int, deque[tuple[Failure, str]]] = {}

    def skipped(self, segment: int, failure: Failure, where: str) -> TooManyFailuresError | None:
        """Books an item that was skipped; what the run ends with, if it was one too many."""
        budget = self._budgets[segment]
        identity = (failure.origin, failure.number, failure.path, failure.occurrence)
        if not budget.failed(identity):
            return None
        self._last.setdefault(segment, deque(maxlen=LAST)).append((failure, where))
        if budget.is_said:
            logger.warning(
                "skipped (failure %d, %s): %s: %s: %s",
                *(budget.failures, budget, where, failure.type_name, failure.text),
            )
        return self._judged(segment)

    def ended(self, segment: int) -> TooManyFailuresError | None:
        """All workers of a segment are done: a share of the items can be judged."""
        return self._judged(segment, final=True) if segment in self._budgets else None

    def _judged(self, segment: int, *, final: bool = False) -> TooManyFailuresError | None:
        budget, items = self._budgets[segment], self._items_in(segment)
        if not budget.is_used_up(items, final=final):
            return None
        last = self._last[segment]
        texts = [f"{where}\n{failure.trace.rstrip()}" for failure, where in last]
        name = self._graph.segments[segment].name
        error = TooManyFailuresError(name, budget.failures, items, str(budget), "\n".join(texts))
        failure, where = last[-1]
        error.__cause__ = failure.exception(where)
        return error
