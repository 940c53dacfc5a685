"""What all segments have in common inline: a functor, counters, where what they give goes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from minipipe.errors import ItemTypeError, SentinelError
from minipipe.graph import GraphSegment
from minipipe.inline.connections import Delivery, Ident, Outlet
from minipipe.inline.joins import Join, Whole, ZipJoin
from minipipe.inline.skipping import Skipping
from minipipe.process.describe import describe
from minipipe.process.seeds import set_default
from minipipe.process.worker_info import WorkerInfo, set_worker_info
from minipipe.protocol.run.stats import WorkerStats
from minipipe.segments.functor import Opened, outputs_of
from minipipe.segments.segment import Segment

logger = logging.getLogger("minipipe")

MAX_SURPLUS = 1000  # so many are counted, of what is left over for a join that is not strict
_MEND = " (strict=False makes this a warning)"


class Stage:
    """One segment.

    It is open until nothing more comes, or until it quits by itself (term flag, `mp.Sentinel`):
    then it takes nothing more.  It has ended when all that it gave has been passed on.
    """

    def __init__(
        self,
        segment: GraphSegment,
        declared: Segment,
        ignored: tuple[type[BaseException], ...],
        join: Join | None,
    ) -> None:
        self.segment = segment
        self.declared = declared
        self.skipping = Skipping(segment, declared, ignored)
        self.join = join
        self.where = f"{segment.kind} {segment.name!r}"
        self.info = WorkerInfo(segment.name, segment.worker_name(0), 0, 1, 0)
        self.outlets: list[Outlet] = []
        self.opened: Opened | None = None
        self.broken = False  # it raised: its local_term is not called
        self.takes = True
        self.quits = False
        self.ended = False
        self.items_in = self.items_out = self.dropped = 0
        self.keeps_identity = False  # each item stays one item here
        self._count = 0
        self._flag = declared.term_flag

    def as_worker(self) -> None:
        """What the functor asks of its worker, it is told of this segment."""
        set_worker_info(self.info)
        set_default(self.info.seed)

    # ---------------------------------------------------------- first and last
    def open(self) -> None:
        """The functor is ready to be called.

        Raises:
            BaseException: what it, or its local_init, raised.
        """
        self.as_worker()
        try:
            self.opened = Opened.open(self.declared.functor_obj, self.declared.init_kwargs)
        except BaseException as error:
            self.note(error, "local_init")
            raise

    def close(self) -> Any:
        """What `local_term` returned; None if it was not called."""
        self.as_worker()
        try:
            self.leave()
        except BaseException as error:
            self.note(error, "closing its generator")
            raise
        if self.opened is None or self.opened.local_term is None or self.broken:
            return None
        try:
            return self.opened.local_term()
        except BaseException as error:
            self.note(error, "local_term")
            raise

    def leave(self) -> None:
        """What the functor has left open is closed."""

    # ----------------------------------------------------------------- items
    def take(self, inlet: int, item: Any, ident: Ident) -> Iterable[Delivery]:
        """Works an item off; gives, one by one, what that puts out."""
        raise NotImplementedError(self.where)

    def finish(self) -> Iterable[Delivery]:
        """Its input has ended, or it has quit: gives what it has still got."""
        self.judge_failures(final=True)
        if self.join is not None and not self.quits:
            for inlet in range(len(self.segment.inputs)):
                self.inlet_ended(inlet)
            self._tell_surplus(self.join)
        return ()

    def inlet_ended(self, inlet: int) -> None:
        """Nothing more comes from this upstream.

        Raises:
            UnpairedError: and so something is left over of another one.
        """
        if self.join is None:
            return
        try:
            self.join.ended(inlet)
        except ValueError as error:
            self.note(error, "joining the upstreams")
            raise

    def settle(self) -> None:
        """Nothing is under way any more, so parts that wait for others wait in vain."""
        if self.join is not None:
            release = self.join.settle()
            self.dropped += release

    def gather(self, inlet: int, item: Any, ident: Ident) -> Whole | None:
        """The arguments for the functor, if all are there and it is to be called."""
        whole: Whole | None = (item,), ident
        if self.join is not None:
            try:
                whole = self.join.add(inlet, item, ident)
            except ValueError as error:
                self.note(error, "joining the upstreams")
                raise
        if whole is None:
            if isinstance(self.join, ZipJoin) and sum(self.join.surplus) >= MAX_SURPLUS:
                self.takes = False  # so that a source without end, which feeds nobody else, ends
            return None
        if self.is_flagged():
            self.quit()
            return None
        self.items_in += 1  # one call, whatever it joins
        self.skipping.begin(whole[0])
        return whole

    def put(
        self, result: Any, ident: Ident | None, number: int, arguments: tuple[Any, ...]
    ) -> list[Delivery]:
        """Where what the functor gave for an item goes (None: nowhere).

        Raises:
            OutputsError: it is not one for each of several downstreams.
            ItemTypeError: it could not be sent to another process, and is not to be skipped.
        """
        if ident is None or not self.keeps_identity:
            ident = Ident(self.segment.index, self._count)
        if len(self.outlets) == 1:
            if result is None:
                self.dropped += 1
                return []
            self._count += 1
            try:
                arrivals = self.outlets[0].put(result, ident)
            except ItemTypeError as error:
                return self._not_sent(error, ident, number, arguments)
            self.items_out += 1
            return arrivals
        try:
            outputs = outputs_of(result, len(self.outlets), self.where)
        except ValueError as error:
            self.note(error, _at(number, arguments))
            raise
        arrivals = []
        self._count += 1  # what the elements of one result have in common
        before = self.items_out
        for outlet, output in zip(self.outlets, outputs, strict=True):
            if output is not None:
                try:
                    arrivals += outlet.put(output, ident)
                except ItemTypeError as error:
                    return arrivals + self._not_sent(error, ident, number, arguments)
                self.items_out += 1
        self.dropped += self.items_out == before
        return arrivals

    def _not_sent(
        self, error: ItemTypeError, ident: Ident, number: int, arguments: tuple[Any, ...]
    ) -> list[Delivery]:
        """What it comes to that something could not be sent to another process: nothing."""
        if not self.skips(error, Ident(ident.origin, number, ident.path), arguments):
            raise error
        return []

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

    def quit_by_sentinel(self, number: int, arguments: tuple[Any, ...]) -> None:
        """The functor gave `mp.Sentinel`.

        Raises:
            SentinelError: it is not in a loop.
        """
        if not self.segment.in_loop:
            error = SentinelError(self.where)
            self.note(error, _at(number, arguments))
            raise error
        self.quit()

    def skips(
        self,
        error: BaseException,
        ident: Ident,
        arguments: tuple[Any, ...] = (),
        consequence: str = "",
        *,
        last: bool = False,
    ) -> bool:
        """Whether what the functor raised is to be ignored; then the item counts as dropped.

        Raises:
            TooManyFailuresError: it was one too many.
        """
        if not self.skipping.skips(error, ident, arguments, consequence, last=last):
            self.note(error, _at(ident.number, arguments))
            return False
        self.dropped += 1
        self.judge_failures()
        return True

    @property
    def taken(self) -> int:
        """Of how many items a share may fail."""
        return self.items_in

    def judge_failures(self, *, final: bool = False) -> None:
        error = self.skipping.too_many(self.taken, final=final)
        if error is not None:
            self.note(error, "its functor")
            raise error from self.skipping.last

    def note(self, error: BaseException, doing: str) -> None:
        """Says in `error` where it was raised; the stage is broken."""
        if not self.broken:
            # What Ctrl-C has interrupted is healthy, and its local_term is called.
            self.broken = not isinstance(error, KeyboardInterrupt)
            error.add_note(f"minipipe: in {doing} of segment {self.segment.name!r} (inline)")

    def _tell_surplus(self, join: Join) -> None:
        if isinstance(join, ZipJoin) and any(join.surplus):
            self.dropped += sum(join.surplus)
            logger.warning("%s", str(join.unpaired).removesuffix(_MEND))

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
        )


def leave_worker() -> None:
    """What is called from here on is no functor."""
    set_worker_info(None)
    set_default(None)


def _at(number: int, arguments: tuple[Any, ...]) -> str:
    if not arguments:
        return f"its functor at item {number}"
    item = arguments[0] if len(arguments) == 1 else arguments
    return f"its functor at item {number} ({describe(item)})"
