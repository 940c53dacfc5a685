"""Exceptions inline that do not end the run: what is said of them, and kept as dead letters."""

from __future__ import annotations

import time
import traceback
from typing import NamedTuple

from minipipe.codec import Unreadable
from minipipe.dead_letters.file import DeadLetterRecord, Kept, keep, write
from minipipe.errors import ItemTypeError
from minipipe.graph import GraphSegment
from minipipe.inline.connections import Identity
from minipipe.operators.skipping import SkippedItems, Tolerance, logger
from minipipe.operators.work_item import WorkItem
from minipipe.process.describe import describe, text_of
from minipipe.protocol.delivery.numbering import in_words
from minipipe.protocol.delivery.paths import outputs
from minipipe.segments.segment import Segment


class Held(NamedTuple):
    """An item as it came, should there be a dead letter of it."""

    item: Kept | None
    why_not: str  # it cannot be written


class Skipping:
    """What one segment skips.

    Attributes:
        run_id: of the run, for its letters.
        names: of all segments, likewise.
        items: what it has skipped so far.
        held: the item that is in work.
    """

    def __init__(
        self, segment: GraphSegment, declared: Segment, ignored: tuple[type[BaseException], ...]
    ) -> None:
        self.run_id = 0
        self.names: dict[int, str] = {}
        self.items = SkippedItems(segment.name, declared.max_failures)
        self._segment = segment
        self._path = declared.dead_letter
        has_budget = declared.max_failures is not None
        self._tolerance = Tolerance(ignored, has_budget, self._path is not None)
        self.held = Held(None, "")

    def begin(self, taken: WorkItem[Identity]) -> None:
        """The functor is about to be called: a dead letter has the item as it is now."""
        self.held = Held(None, "")
        if self._path is None or _is_unreadable(taken):
            return
        try:
            self.held = Held(keep(taken.shown), "")
        except ItemTypeError as error:  # the functor may well take what cannot be pickled
            self.held = Held(None, str(error))

    def skips(
        self,
        error: BaseException,
        taken: WorkItem[Identity] | None,
        what: str,
        *,
        has_item: bool = True,
        last: bool = False,
    ) -> bool:
        """Whether what the functor raised does not end the run; says so, and keeps the item.

        Args:
            taken: the item; None: it was raised at none.
            what: comes of it ("was skipped"); of no item, what is skipped and that.
            has_item: the item could be kept.
            last: there will be no other one.

        Raises:
            OSError: a dead letter cannot be written.
        """
        verdict = self._tolerance.judge(
            error,
            has_item=has_item and taken is not None and bool(taken.arguments),
            unreadable=taken is not None and _is_unreadable(taken),
        )
        item = "" if taken is None else f"item {in_words(taken.number)}"
        said = f"{type(error).__name__}: {text_of(error)}"
        if verdict.kept and taken is not None:
            self._keep(error, taken)
        if not verdict.ignored and not verdict.counted:
            return False
        name = self._segment.name
        if verdict.unkept:
            logger.warning("%s: no dead letter of %s, which cannot be unpickled", name, item)
        if verdict.ignored:
            text = f"{name}: {f'{item} {what}'.strip()}: {said}"
            if last or taken is None:
                logger.warning("%s", text)
            else:
                self.items.ignore(1, text)
            return True
        assert self.items.budget is not None
        self.items.budget.failed()
        where = f"in its functor of segment {name!r} (inline) "
        where += what if taken is None else f"at {item} of {self.names.get(taken.parcel.origin)!r}"
        if taken is not None and taken.arguments:
            where += f" ({describe(taken.shown)})"
        trace = "".join(traceback.format_exception(error)).rstrip()
        self.items.note(where, said, trace, lambda: error)
        return True

    def _keep(self, error: BaseException, taken: WorkItem[Identity]) -> None:
        name = self._segment.name
        if self.held.item is None:
            why = f"no dead letter of item {in_words(taken.number)} ({self.held.why_not})"
            logger.warning("%s: %s: %s: %s", name, why, type(error).__name__, text_of(error))
            return
        assert self._path is not None
        origin, path = taken.parcel
        record = DeadLetterRecord(
            run=self.run_id,
            time_s=time.time(),
            segment=name,
            worker=self._segment.worker_name(0),
            origin=self.names.get(origin, ""),
            number=taken.number,
            path=outputs(path),
            error=type(error).__qualname__,
            text=text_of(error),
            trace="".join(traceback.format_exception(error)),
        )
        write(self._path, record, self.held.item)


def _is_unreadable(taken: WorkItem[Identity]) -> bool:
    return any(type(argument) is Unreadable for argument in taken.arguments)
