"""What all segments have in common inline: a functor, counters, where what they give goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minipipe.errors import FunctorError, ItemTypeError, OutputsError
from minipipe.graph import GraphSegment
from minipipe.inline.connections import Delivery, Identity, Outlet
from minipipe.inline.functor import SegmentFunctor
from minipipe.inline.joins import Item, Join, ZipJoin
from minipipe.inline.skipping import Skipping
from minipipe.operators.joins import lost_parts
from minipipe.operators.outputs import Outputs
from minipipe.operators.skipping import logger
from minipipe.operators.steppers import SKIPPED
from minipipe.process.describe import describe, text_of
from minipipe.protocol.delivery.numbering import in_words
from minipipe.protocol.delivery.paths import outputs
from minipipe.protocol.run.stats import WorkerStats
from minipipe.protocol.wiring import Wiring
from minipipe.segments.segment import Segment

MAX_SURPLUS = 1000  # so many are counted, of what is left over for a join that is not strict


class Stage(SegmentFunctor):
    """One segment.

    It is open until nothing more comes, or until it quits by itself (term flag, `mp.Sentinel`):
    then it takes nothing more.  It has ended when all that it gave has been passed on.
    """

    consequence = ""  # of a functor that raised, beside that the item is skipped
    finishing = False  # its input has ended
    stays = False  # it goes through more passes

    def __init__(
        self,
        segment: GraphSegment,
        declared: Segment,
        wiring: Wiring,
        ignored: tuple[type[BaseException], ...],
        join: Join | None,
    ) -> None:
        super().__init__(segment, declared)
        self.skipping = Skipping(segment, declared, ignored)
        self.join = join
        self.where = f"{segment.kind} {segment.name!r}"
        self.outputs = Outputs(wiring, segment.index, self.where)
        self.outlets: list[Outlet] = []
        self.takes = True
        self.quits = False
        self.ended = False
        self.items_in = self.items_out = self.dropped = self.failed = self.skipped = 0
        self._flag = declared.term_flag

    def begin_pass(self, pass_: int, join: Join | None) -> None:
        """Is open again, for another pass: with this join, if it joins."""
        self.join = join
        self.takes, self.quits, self.ended, self.finishing = True, False, False, False
        self.info.pass_ = pass_
        self.randomness.begin_pass(pass_)
        for outlet in self.outlets:
            outlet.begin_pass(pass_)

    # ----------------------------------------------------------------- items
    def take(self, inlet: int, item: Item) -> Iterable[Delivery]:
        """Works an item off; gives, one by one, what that puts out."""
        raise NotImplementedError(self.where)

    def finish(self) -> Iterable[Delivery]:
        """Its input has ended, or it has quit: gives what it has still got."""
        self.judge_failures(final=True)
        if self.join is not None and not self.quits:
            for inlet in range(len(self.segment.inputs)):
                self.inlet_ended(inlet)
            if isinstance(self.join, ZipJoin):
                count, text = self.join.surplus
                self.dropped += count
                if count:
                    logger.warning("%s", text)
        return ()

    def last_bundles(self) -> Iterable[Delivery]:
        """It has put its last item: what was held back until its bundle is full."""
        if self.segment.stateless:
            return
        for outlet in self.outlets:
            deliveries, left_out = outlet.end()
            self.items_out -= left_out
            self.dropped += left_out
            yield from deliveries

    def inlet_ended(self, inlet: int) -> None:
        """Nothing more comes from this upstream.

        Raises:
            UnpairedError, TwicePairedError: and so something is left over of another one.
        """
        if self.join is not None:
            self._joining(self.join.ended, inlet)

    def _joining(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(*args)
        except ValueError as error:
            self.note(error, "joining the upstreams")
            raise

    def gather(self, inlet: int, item: Item) -> Item | None:
        """The arguments for the functor, if all are there and it is to be called."""
        taken: Item | None = item
        if self.join is not None:
            taken = self._joining(self.join.add, inlet, item)
        if taken is None:
            if isinstance(self.join, ZipJoin) and self.join.surplus[0] >= MAX_SURPLUS:
                self.takes = False  # so that a source without end, which feeds nobody else, ends
            return None
        if self.is_flagged():
            self.quit()
            return None
        if taken.is_tombstone:
            self.dropped += lost_parts(taken)
        else:
            self.items_in += 1  # one call, whatever it joins
            self.skipping.begin(taken)
        return taken

    def put(self, result: Any, taken: Item | None) -> Iterable[Delivery]:
        """Where what the functor gave goes (None: nowhere, but for a join to know).

        Raises:
            OutputsError: it is not one for each of several downstreams.
            ItemTypeError: it could not be sent to another process, and is not to be skipped.
        """
        try:
            elements = self.outputs.split(result)
        except OutputsError as error:
            raise self.broken_at(error, taken) from None
        try:  # all of them, before any is sent
            copies = [
                [(0, None)] if element is None else outlet.copies(element)
                for outlet, element in zip(self.outlets, elements, strict=True)
            ]
        except ItemTypeError as error:
            if not self.skips(error, taken, has_item=self.segment.kind != "regulator"):
                raise
            elements, copies = (None,) * len(elements), [[(0, None)]] * len(elements)
        return self.sent(elements, copies, taken)

    def sent(
        self,
        elements: Sequence[Any],
        copies: Sequence[Sequence[tuple[int, Any]]],
        taken: Item | None,
    ) -> Iterable[Delivery]:
        """The deliveries of the elements of a result, of which these are copies."""
        sent = sum(element is not None for element in elements)
        self.items_out += sent
        self.dropped += not sent and (taken is None or not taken.is_tombstone)
        mask = self.outputs.filled(elements)
        deliveries: list[Delivery] = []
        for i in mask:
            outlet = self.outlets[i]
            keys = {c.join: self.outputs.key(c, taken) for c in outlet.spec.carried}
            if taken is not None and self.segment.stateless:
                number, (origin, path) = taken.number, taken.parcel
                identity = Identity(origin, (*path, (i, mask)) if self.outputs.forks else path)
            else:
                number, identity = outlet.next_number, Identity(self.segment.index)
                outlet.next_number += 1
            deliveries += outlet.put(copies[i], number, identity, keys)
        self.outputs.results += 1
        return deliveries

    # ------------------------------------------------------- the end, and failures
    @property
    def may_quit(self) -> bool:
        """Whether it could take nothing more before its input ends."""
        lenient = isinstance(self.join, ZipJoin) and not self.join.strict
        return self._flag is not None or self.segment.in_loop or lenient

    def is_flagged(self) -> bool:
        """Whether the term flag is set."""
        return self._flag is not None and bool(self._flag.is_set())

    def quit(self) -> None:
        """Takes nothing more, whatever comes."""
        self.quits, self.takes = True, False

    def drain(self) -> None:
        """The run is to end early: that a stream has more than another is no error then."""
        if isinstance(self.join, ZipJoin):
            self.join.strict = False

    def guarded(self, taken: Item | None, function: Callable[..., Any], *args: Any) -> Any:
        """What a function of the user's gives; SKIPPED, if it raised what is to be ignored."""
        self.as_worker()
        if taken is not None:
            origin, path = taken.parcel
            self.randomness.begin_step(self.skipping.names[origin], outputs(path), taken.number)
        try:
            if self.spans is not None:
                item, origin = (0, 0) if taken is None else (taken.number + 1, taken.parcel[0])
                return self.shown(item, origin, function, *args)
            return function(*args)
        except BaseException as error:
            if self.skips(error, taken):
                return SKIPPED
            if not isinstance(error, StopIteration):
                raise
            raise self.told(error) from error

    def told(self, error: BaseException) -> BaseException:
        """What to raise for what the functor has raised."""
        if not isinstance(error, StopIteration):
            return error
        where = f"in its functor of segment {self.segment.name!r} (inline)"
        told = FunctorError("StopIteration", text_of(error), where)  # it would look like an end
        for note in error.__notes__:
            told.add_note(note)
        return told

    def broken_at(self, error: Exception, taken: Item | None) -> BaseException:
        """What to raise for a mistake of the functor's at this item."""
        self.note(error, self._at(taken))
        return error

    def skips(
        self, error: BaseException, taken: Item | None, *, has_item: bool = True, last: bool = False
    ) -> bool:
        """Whether what the functor raised is to be ignored.

        Raises:
            TooManyFailuresError: it was one too many.
        """
        self.failed += 1
        what = f"was skipped{self.consequence}"
        if taken is None:
            held = "what it held at the end of the stream was skipped"
            what = held if self.finishing else "its coroutine did not begin"
        if not self.skipping.skips(error, taken, what, has_item=has_item, last=last):
            self.note(error, self._at(taken))
            return False
        self.skipped += 1
        self.judge_failures()
        return True

    @property
    def taken(self) -> int:
        """Of how many items a share may fail."""
        return self.items_in

    def judge_failures(self, *, final: bool = False) -> None:
        error = self.skipping.items.too_many(self.taken, final=final and not self.stays)
        if error is not None:
            self.note(error, "its functor")
            raise error

    def _at(self, taken: Item | None) -> str:
        if taken is None:
            return "its functor at the end of the stream" if self.finishing else "its functor"
        shown = f" ({describe(taken.shown)})" if taken.arguments else ""
        return f"its functor at item {in_words(taken.number)}{shown}"

    def stats(self, state: str) -> WorkerStats:
        """What it has done so far."""
        return WorkerStats(
            worker=self.segment.worker_name(0),
            segment=self.segment.name,
            pid=0,
            state=state,
            items_in=self.items_in,
            items_out=self.items_out,
            dropped=self.dropped,
            confirmed=self.items_in,
            kept_items=0,
            kept_bytes=0,
            kept_peak_items=0,
            kept_peak_bytes=0,
            parcels_out=0,
            queued_items=0,
            item=None,
            failed=self.failed,
            skipped=self.skipped,
        )
