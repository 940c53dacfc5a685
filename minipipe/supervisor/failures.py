"""Items that were skipped: counted, said ever more rarely, and at last too many."""

from __future__ import annotations

from collections.abc import Callable

from minipipe.errors import TooManyFailuresError
from minipipe.graph import Graph
from minipipe.operators.skipping import SkippedItems
from minipipe.stream.fields import unflat
from minipipe.stream.records import Skipped
from minipipe.supervisor.worker_handle import WorkerHandle
from minipipe.worker import failure_forms
from minipipe.worker.failure import Failure


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
        self._items_in = items_in
        self._where = where
        self._of = [
            SkippedItems(s.name, None if s.declared is None else s.declared.max_failures)
            for s in graph.segments
        ]

    def skipped(self, handle: WorkerHandle, skips: Skipped) -> TooManyFailuresError | None:
        """Books what a worker has skipped; what the run ends with, if it was too much.

        Raises:
            WireFormatError: what it says of a failure is none.
        """
        skipped = self._of[handle.segment.index]
        skipped.ignore(skips.ignored, skips.text)
        if not skips.unnumbered and not skips.failed:
            return None
        segment, budget = handle.segment, skipped.budget
        assert budget is not None
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
            _note(skipped, self._where, handle, failure_forms.read(skips.failure))
        return skipped.too_many(self._items_in(segment.index))

    def ended(self, segment: int) -> TooManyFailuresError | None:
        """All workers of a segment are done: a share of the items can be judged."""
        return self._of[segment].too_many(self._items_in(segment), final=True)


def _note(
    skipped: SkippedItems,
    where_of: Callable[[WorkerHandle, Failure], str],
    handle: WorkerHandle,
    failure: Failure,
) -> None:
    where = where_of(handle, failure)
    said, trace = f"{failure.type_name}: {failure.text}", f"{where}\n{failure.trace.rstrip()}"
    skipped.note(where, said, trace, lambda: failure.exception(where))
