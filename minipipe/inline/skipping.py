"""Exceptions inline that do not end the run: ignored, or within a budget; kept as dead letters."""

from __future__ import annotations

import logging
import time
import traceback
from collections import deque
from typing import Any

from minipipe.codec import Unreadable
from minipipe.dead_letters import DeadLetterRecord, Kept, keep, write
from minipipe.errors import ItemTypeError, TooManyFailuresError, UnreadableItemError
from minipipe.graph import GraphSegment
from minipipe.inline.connections import Ident
from minipipe.process.describe import describe, text_of
from minipipe.protocol.run.budget import LAST, Budget
from minipipe.protocol.run.thinning import EverRarer
from minipipe.segments.segment import Segment

logger = logging.getLogger("minipipe")


class Skipping:
    """What one segment skips.

    Attributes:
        ignored: the exceptions that are skipped, however many.
        run_id: of the run, for its letters.
        names: of all segments, likewise.
    """

    def __init__(
        self, segment: GraphSegment, declared: Segment, ignored: tuple[type[BaseException], ...]
    ) -> None:
        self.ignored = ignored
        self.run_id = 0
        self.names: dict[int, str] = {}
        self._segment = segment
        limit = declared.max_failures
        self._budget = None if limit is None else Budget(limit)
        self._path = declared.dead_letter
        self._last: deque[BaseException] = deque(maxlen=LAST)
        self._ignored = EverRarer()
        self._kept: Kept | None = None
        self._unwritable = "its functor had not begun"

    def begin(self, arguments: tuple[Any, ...]) -> None:
        """The functor is about to be called: a dead letter has the item as it is now."""
        self._kept = None
        if self._path is None:
            return
        if any(type(argument) is Unreadable for argument in arguments):
            self._unwritable = "it cannot be unpickled"
            return
        try:
            self._kept = keep(arguments[0] if len(arguments) == 1 else arguments)
        except ItemTypeError as error:  # the functor may well take what cannot be pickled
            self._unwritable = str(error)

    def skips(
        self,
        error: BaseException,
        ident: Ident | None,
        arguments: tuple[Any, ...],
        consequence: str = "",
        skipped: str = "",
        *,
        last: bool = False,
    ) -> bool:
        """Whether what the functor raised does not end the run; says so, and keeps the item.

        Args:
            ident: of the item; None: it was raised at none.
            skipped: what is skipped (default: the item).
            last: there will be no other one.

        Raises:
            OSError: a dead letter cannot be written.
        """
        # Of what could not be sent the true reason is the cause.
        ignored = isinstance(error, self.ignored) or (
            isinstance(error, ItemTypeError | UnreadableItemError)
            and isinstance(error.__cause__, self.ignored)
        )
        if not ignored and not isinstance(error, Exception):
            return False
        if self._path is not None and self._kept is not None and ident is not None:
            write(self._path, self._letter(error, ident), self._kept)
        elif self._path is not None and ident is not None and self._unwritable:
            self.warn_of(error, f"no dead letter of item {ident.number} ({self._unwritable})")
        if not ignored and self._budget is None:
            return False
        if not skipped and ident is not None:
            skipped = f"item {ident.number} was skipped"
        if ignored or self._budget is None:
            tell = self.warn_of if last or ident is None else self.ignore
            tell(error, f"{skipped}{consequence}")
            return True
        self._budget.failed()
        self._last.append(error)
        if self._budget.should_log():
            at = skipped
            if ident is not None:
                at = f"at item {ident.number} of {self.names.get(ident.origin, '')!r}"
            if arguments:
                at += f" ({describe(arguments[0] if len(arguments) == 1 else arguments)})"
            logger.warning(
                "skipped (failure %d, %s): in its functor of segment %r (inline) %s%s: %s: %s",
                *(self._budget.failures, self._budget, self._segment.name, at, consequence),
                *(type(error).__name__, text_of(error)),
            )
        return True

    def too_many(self, items: int, *, final: bool = False) -> TooManyFailuresError | None:
        """What the run ends with, if too many have failed of so many items."""
        budget = self._budget
        if budget is None or not self._last or not budget.is_used_up(items, final=final):
            return None
        traces = ["".join(traceback.format_exception(error)).rstrip() for error in self._last]
        about = (self._segment.name, budget.failures, items, str(budget), "\n".join(traces))
        return TooManyFailuresError(*about)

    @property
    def last(self) -> BaseException | None:
        """The last failure that counted."""
        return self._last[-1] if self._last else None

    def ignore(self, error: BaseException, what: str) -> None:
        """Counts an item whose exception is ignored, and logs it, ever more rarely."""
        self._ignored.more(1)
        if self._ignored.is_due():
            self.warn_of(error, what, self._ignored.so_far)

    def warn_of(self, error: BaseException, what: str, so_far: str = "") -> None:
        """Logs what came of an exception that is to be ignored."""
        said = f"{type(error).__name__}: {text_of(error)}"
        logger.warning("%s: %s: %s%s", self._segment.name, what, said, so_far)

    def _letter(self, error: BaseException, ident: Ident) -> DeadLetterRecord:
        name = self._segment.name
        path = tuple(slot for _, slot in ident.path)
        trace = "".join(traceback.format_exception(error))
        who = (name, self._segment.worker_name(0), self.names.get(ident.origin, ""))
        about = (type(error).__qualname__, text_of(error), trace)
        return DeadLetterRecord(self.run_id, time.time(), *who, ident.number, path, *about)
