"""What an exception of a functor comes to: the item is skipped, and kept, or the run ends."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from minipipe.errors import (
    ItemTypeError,
    MessageRefusedError,
    TooManyFailuresError,
    UnreadableItemError,
)
from minipipe.protocol.run.budget import LAST, Budget
from minipipe.protocol.run.thinning import EverRarer

logger = logging.getLogger("minipipe")


class Verdict(NamedTuple):
    """What is to be done about an exception.

    Attributes:
        ignored: the item is skipped, however many are.
        counted: it is skipped, out of the segment's budget.
        kept: there is to be a dead letter of it.
        unkept: there would be one, but the item cannot be unpickled.
    """

    ignored: bool
    counted: bool
    kept: bool
    unkept: bool


@dataclass
class Tolerance:
    """What one segment is declared to skip.

    Attributes:
        ignored: the exceptions that are skipped, however many.
        counts: whether others are, out of a budget.
        keeps: whether there is a file of dead letters.
    """

    ignored: tuple[type[BaseException], ...] = ()
    counts: bool = False
    keeps: bool = False

    def judge(self, error: BaseException, *, has_item: bool, unreadable: bool) -> Verdict:
        """What becomes of an item.

        Args:
            has_item: there is one, of which something could be kept.
            unreadable: it, or a part of it, cannot be unpickled.
        """
        ignored = isinstance(error, self.ignored) or (
            # Of what went wrong on the way in or out the true reason is the cause.
            isinstance(error, ItemTypeError | MessageRefusedError | UnreadableItemError)
            and isinstance(error.__cause__, self.ignored)
        )
        is_failure = isinstance(error, Exception)  # else it is told to end, and ends
        kept = self.keeps and has_item and (ignored or is_failure)
        counted = not ignored and self.counts and is_failure
        return Verdict(ignored, counted, kept and not unreadable, kept and unreadable)


class SkippedItems:
    """What one segment has skipped: counted, said ever more rarely, and at last too many.

    Args:
        name: of the segment.
        limit: its budget; None: there is none.
    """

    def __init__(self, name: str, limit: int | float | None) -> None:
        self.budget = None if limit is None else Budget(limit)
        self._name = name
        self._ignored = EverRarer()
        self._last: deque[tuple[str, Callable[[], BaseException]]] = deque(maxlen=LAST)

    def ignore(self, count: int, text: str) -> None:
        """So many more were ignored; `text` says so of the last, if that is to be said."""
        self._ignored.more(count)
        if text and self._ignored.is_due():
            logger.warning("%s%s", text, self._ignored.so_far)

    def note(self, where: str, what: str, trace: str, error: Callable[[], BaseException]) -> None:
        """Keeps a failure for the error that the run may end with, and says it now and then.

        Args:
            where: the functor has failed, and at what.
            what: the exception, in words.
            error: makes it.
        """
        budget = self.budget
        assert budget is not None
        self._last.append((trace, error))
        if budget.should_log():
            logger.warning("skipped (failure %d, %s): %s: %s", budget.failures, budget, where, what)

    def too_many(self, items: int, *, final: bool = False) -> TooManyFailuresError | None:
        """What the run ends with, if too many have failed of so many items.

        Args:
            final: that is all.
        """
        budget = self.budget
        if budget is None or not budget.is_used_up(items, final=final):
            return None
        traces = "\n".join(trace for trace, _ in self._last)
        error = TooManyFailuresError(
            segment=self._name,
            failures=budget.failures,
            items=items,
            allowed=str(budget),
            last=traces,
        )
        if self._last:
            error.__cause__ = self._last[-1][1]()
        return error
