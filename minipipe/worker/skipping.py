"""What an exception of the functor comes to: the item is skipped, or the run ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from minipipe.codec import Unreadable
from minipipe.errors import MessageRefusedError
from minipipe.operators.skipping import Tolerance
from minipipe.operators.work_item import WorkItem
from minipipe.process.describe import text_of
from minipipe.protocol.delivery.numbering import in_words
from minipipe.protocol.delivery.paths import Outputs, outputs
from minipipe.protocol.run.thinning import EverRarer
from minipipe.stream import Node, records
from minipipe.stream.arrived import Arrived
from minipipe.worker import failure_forms
from minipipe.worker.failure import Failure, capture
from minipipe.worker.skipped_items import DeadLetterWriter

GENERATED = object()  # in place of the item, where a generator raised instead of yielding one
CALLING, SENDING = "its functor", "sending what its functor gave"
BATCHING, COLLATING = "adding what its functor gave to a batch", "its collate"


class Broken(BaseException):
    """The functor raised; carries what to tell.  For the worker's own use."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


def broken(
    error: BaseException,
    number: int | None,
    item: Any,
    origin: int,
    path: Outputs = (),
    doing: str = CALLING,
) -> Broken:
    """What to raise for an error that came with this item, or outside of any (no number)."""
    about: dict[str, Any] = {"origin": origin, "number": number, "item": item, "path": path}
    return Broken(capture(error, doing, **about))


class Skipping:
    """What one worker skips, and writes of that.

    Attributes:
        tolerance: what the segment is declared to skip.
        dead_letters: where the items are written.
        parts: what the item was joined of that is to be judged next.
    """

    def __init__(self, node: Node, where: str) -> None:
        self.tolerance = Tolerance()
        self.dead_letters = DeadLetterWriter(node, None, "", "", {}, "")
        self.parts: Sequence[WorkItem[Arrived]] = ()
        self._node = node
        self._where = where
        self._without_letter = EverRarer()

    def judge(
        self,
        error: BaseException,
        number: int | None,
        item: Any,
        origin: int,
        parcel: Arrived | None,
        doing: str,
    ) -> None:
        """Skips the item, and says so, or ends the run.

        Args:
            parcel: what the item came in, if it is the functor's only argument.
            doing: during what it was raised.

        Raises:
            Broken: the exception is not to be skipped.
        """
        page = self._node.page
        page.failed += 1
        path = () if parcel is None else outputs(parcel.path)
        parts, self.parts = self.parts, ()
        is_unreadable = any(
            isinstance(one, Unreadable) for one in (item if parts and item is not None else (item,))
        )
        if is_unreadable:
            doing = f"unpickling what came from {self._feeders}"
        has_item = number is not None and item is not GENERATED and item is not None
        has_item = has_item and (doing != SENDING or parcel is not None)
        verdict = self.tolerance.judge(error, has_item=has_item, unreadable=is_unreadable)
        ignored = verdict.ignored
        if not ignored and not verdict.counted:
            ends = broken(error, number, item, origin, path, doing)
            if verdict.kept:
                self._write_last_letter(ends.failure, item, parcel, parts)
            raise ends
        page.skipped += 1
        skips = self._node.skips
        sampling = skips.ignored if ignored else skips.failures
        in_full = sampling.picks(time.monotonic()) or item is GENERATED
        named = error.number if isinstance(error, MessageRefusedError) else number
        if verdict.kept or (in_full and not ignored):
            about: dict[str, Any] = {"origin": origin, "number": named, "item": item, "path": path}
            failure = capture(error, doing, raised=in_full and not ignored, **about)
            if verdict.kept:
                self._write_letter(failure, item, parcel, parts)
        if verdict.unkept:
            self._tell_of_no_letter(number)
        if not ignored:
            # What came in no parcel is never done again, so each time it counts.
            skips.fail(origin, None if parcel is None else number, path)
            if in_full:
                if number is not None:
                    self._node.ends.sync_progress(number + 1)
                report = failure_forms.write(failure, self._node.inbox.trust)
                self._node.report_skips(failure=report)
            return
        skips.ignore()
        if in_full:
            at = f", branch {'.'.join(map(str, path))}" if path else ""
            skipped = "this" if number is None else f"item {in_words(named or 0)}{at}"
            said = f"{type(error).__name__}: {text_of(error)}"
            if item is GENERATED:  # not one of many
                why = "was skipped and the stream ends, as a generator cannot go on"
                text = f"{self._where}: {skipped} {why}: {said}"
                self._node.report(records.Log(logging.WARNING, text))
            else:
                self._node.report_skips(f"{self._where}: {skipped} was skipped: {said}")

    def _tell_of_no_letter(self, number: int | None) -> None:
        self._without_letter.more(1)
        if self._without_letter.is_due():
            which = f"item {in_words(number or 0)}"
            said = f"{self._where}: no dead letter of {which}, which cannot be unpickled"
            text = f"{said}{self._without_letter.so_far}"
            self._node.report(records.Log(logging.WARNING, text))

    @property
    def _feeders(self) -> str:
        return " and ".join(repr(inlet.spec.feeders) for inlet in self._node.inlets.values())

    def _write_last_letter(
        self,
        failure: Failure,
        item: Any,
        parcel: Arrived | None,
        parts: Sequence[WorkItem[Arrived]],
    ) -> None:
        """Writes the item that ends the run, which is told also if that fails."""
        try:
            self._write_letter(failure, item, parcel, parts, ends_run=True)
        except Broken as unwritten:
            which = f"item {in_words(failure.number or 0)}"
            said = f"{self._where}: no dead letter of {which}: {unwritten.failure.text}"
            self._node.report(records.Log(logging.WARNING, said))

    def _write_letter(
        self,
        failure: Failure,
        item: Any,
        parcel: Arrived | None,
        parts: Sequence[WorkItem[Arrived]],
        *,
        ends_run: bool = False,
    ) -> None:
        try:
            self.dead_letters.write(failure, item, parcel, parts, ends_run=ends_run)
        except Exception as error:  # a full disk; or pickling, which runs the user's code
            doing = f"writing the dead letter of an item that failed ({failure.type_name})"
            about = {"origin": failure.origin, "number": failure.number, "path": failure.path}
            raise Broken(capture(error, doing, item=item, **about)) from error  # type: ignore[arg-type]
