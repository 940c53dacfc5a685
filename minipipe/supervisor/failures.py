"""Items that were skipped: counted, said ever more rarely, and at last too many."""

from __future__ import annotations

import logging
import pickle
from collections import deque
from collections.abc import Callable

from minipipe.errors import TooManyFailuresError
from minipipe.graph import Graph
from minipipe.protocol.run.budget import LAST, Budget
from minipipe.protocol.run.thinning import EverRarer
from minipipe.stream.fields import unflat
from minipipe.stream.records import Skipped
from minipipe.supervisor.worker_handle import WorkerHandle
from minipipe.worker.failure import Failure

logger = logging.getLogger("minipipe")


class Failures:
    """What all segments have skipped, and their budgets.

    Args:
        items_in: how many items a segment has taken, by its index.
        where: says where a worker's functor has failed, in words.
    """

    def __init__(
        self,
        graph: Graph,
        items_in: Callable[[int], int],
        where: Callable[[WorkerHandle, Failure], str],
    ) -> None:
        self._graph = graph
        self._items_in = items_in
        self._where = where
        self._budgets = {
            s.index: Budget(s.declared.max_failures)
            for s in graph.segments
            if s.declared is not None and s.declared.max_failures is not None
        }
        self._ignored = {segment.index: EverRarer() for segment in graph.segments}
        self._last: dict[int, deque[tuple[Failure, str]]] = {}

    def skipped(self, handle: WorkerHandle, skips: Skipped) -> TooManyFailuresError | None:
        """Books what a worker has skipped; what the run ends with, if it was too much."""
        self._ignore(handle.segment.index, skips.ignored, skips.text)
        if not skips.unnumbered and not skips.failed:
            return None
        segment = handle.segment
        budget = self._budgets[segment.index]
        before = budget.failures
        budget.failed(skips.unnumbered)
        for origin, outputs, numbers in skips.failed:
            runs = unflat(numbers)
            if segment.restarts:
                budget.failed_at((origin, outputs), runs)
            else:
                budget.failed(sum(stop - first for first, stop in runs))
        if budget.failures == before:
            return None
        if skips.failure:
            self._note(segment.index, handle, pickle.loads(skips.failure))
        return self._judged(segment.index)

    def _ignore(self, segment: int, count: int, text: str) -> None:
        ignored = self._ignored[segment]
        ignored.more(count)
        if text and ignored.is_due():
            logger.warning("%s%s", text, ignored.so_far)

    def _note(self, segment: int, handle: WorkerHandle, failure: Failure) -> None:
        """Keeps a failure for the error that the run may end with, and says it now and then."""
        budget, where = self._budgets[segment], self._where(handle, failure)
        self._last.setdefault(segment, deque(maxlen=LAST)).append((failure, where))
        if budget.should_log():
            logger.warning(
                "skipped (failure %d, %s): %s: %s: %s",
                *(budget.failures, budget, where, failure.type_name, failure.text),
            )

    def ended(self, segment: int) -> TooManyFailuresError | None:
        """All workers of a segment are done: a share of the items can be judged."""
        return self._judged(segment, final=True) if segment in self._budgets else None

    def _judged(self, segment: int, *, final: bool = False) -> TooManyFailuresError | None:
        budget, items = self._budgets[segment], self._items_in(segment)
        if not budget.is_used_up(items, final=final):
            return None
        last = self._last.get(segment, ())
        texts = [f"{where}\n{failure.trace.rstrip()}" for failure, where in last]
        name = self._graph.segments[segment].name
        error = TooManyFailuresError(name, budget.failures, items, str(budget), "\n".join(texts))
        if last:
            failure, where = last[-1]
            error.__cause__ = failure.exception(where)
        return error
