"""The functor of one segment inline: opened, closed, and whether it has broken."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minipipe.graph import GraphSegment
from minipipe.process.seeds import Randomness, use
from minipipe.process.worker_info import WorkerInfo, set_worker_info
from minipipe.protocol.item_seeds import START, TERM
from minipipe.protocol.run.vital_signs import Activity
from minipipe.segments.functor import Opened
from minipipe.segments.segment import Segment
from minipipe.segments.worker_init import WorkerInit

if TYPE_CHECKING:
    from minipipe.observe.span_buffer import SpanBuffer


class SegmentFunctor:
    """What the functor of a segment is, first and last.

    Attributes:
        opened: the functor, ready to be called.
        broken: it raised: its local_term is not called.
        spans: where its calls are written down, if anybody wants to know.
    """

    def __init__(self, segment: GraphSegment, declared: Segment) -> None:
        self.segment = segment
        self.declared = declared
        self.info = WorkerInfo(segment.name, segment.worker_name(0), 0, 1, 0)
        self.randomness = Randomness(None)
        self.opened: Opened | None = None
        self.broken = False
        self.spans: SpanBuffer | None = None

    def as_worker(self) -> None:
        """What the functor asks of its worker, it is told of this segment."""
        set_worker_info(self.info)
        use(self.randomness)

    def prepare(self, worker_init: WorkerInit) -> None:
        """What a worker does before its functor is made is done, as in this segment's worker.

        Raises:
            BaseException: what it raised.
        """
        self.as_worker()
        self.randomness.begin_outside(START)
        try:
            worker_init()
        except BaseException as error:
            error.add_note("minipipe: in worker_init (inline)")
            raise

    def open(self) -> None:
        """The functor is ready to be called.

        Raises:
            BaseException: what it, or its local_init, raised.
        """
        self.as_worker()
        self.randomness.begin_outside(START)
        try:
            self.opened = Opened.open(self.declared.functor_obj, self.declared.init_kwargs)
        except BaseException as error:
            self.note(error, "local_init")
            raise

    def shown(self, item: int, origin: int, function: Callable[..., Any], *args: Any) -> Any:
        """Calls it, and writes down when that was.

        Args:
            item: the number of the item + 1.
            origin: the segment that numbered it.
        """
        assert self.spans is not None
        began_ns = time.monotonic_ns()
        try:
            return function(*args)
        finally:
            self.spans.add(Activity.BUSY, began_ns, time.monotonic_ns(), item, origin + 1)

    def close(self) -> Any:
        """What `local_term` returned; None if it was not called."""
        self.as_worker()
        try:
            self.leave()
        except BaseException as error:
            self.note(error, "closing its generator")
            raise
        if self.opened is not None and self.broken:
            self.opened.release()
        if self.opened is None or self.opened.local_term is None or self.broken:
            return None
        self.randomness.begin_outside(TERM)
        try:
            return self.opened.local_term()
        except BaseException as error:
            self.note(error, "local_term")
            raise

    def leave(self) -> None:
        """What the functor has left open is closed."""

    def note(self, error: BaseException, doing: str) -> None:
        """Says in `error` where it was raised; the stage is broken."""
        if not self.broken:
            # What Ctrl-C has interrupted is healthy, and its local_term is called.
            self.broken = not isinstance(error, KeyboardInterrupt)
            error.add_note(f"minipipe: in {doing} of segment {self.segment.name!r} (inline)")
