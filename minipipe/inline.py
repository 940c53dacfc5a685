"""The same pipeline in the caller's process and thread: depth first, no ZeroMQ, no pickling.

For pdb, coverage and tests of functors; also the serial baseline, and the reference that the
tests of the real thing compare with.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from minipipe.functor import Opened
from minipipe.graph import Graph, GraphSegment
from minipipe.pure.lifecycle import Outcome
from minipipe.pure.stats import RunStats, WorkerStats
from minipipe.segment import Sentinel
from minipipe.worker.failure import describe

logger = logging.getLogger("minipipe")


class _Stage:
    """One segment."""

    def __init__(self, segment: GraphSegment, ignored: tuple[type[BaseException], ...]) -> None:
        self.segment = segment
        self.ignored = ignored
        self.opened: Opened | None = None
        self.broken = False
        self.items_in = self.items_out = self.dropped = 0

    def open(self) -> None:
        declared = self.segment.declared
        assert declared is not None
        try:
            self.opened = Opened.open(declared.functor_obj, declared.init_kwargs)
        except BaseException as error:
            self._note(error, "local_init")
            raise

    def call(self, number: int, item: Any) -> Any:
        assert self.opened is not None
        self.items_in += 1
        try:
            result = self.opened.call(item)
        except self.ignored as error:
            self._skip(error, number)
            return None
        except BaseException as error:
            self._note(error, f"its functor at item {number} ({describe(item)})")
            raise
        if result is None:
            self.dropped += self.segment.kind != "sink"
        else:
            self.items_out += 1
        return result

    def items(self) -> Iterator[Any]:
        """The items of a source."""
        assert self.opened is not None
        try:
            for item in self.opened.iterate(f"{self.segment.kind} {self.segment.name!r}"):
                if item is Sentinel:
                    return
                if item is None:
                    self.dropped += 1
                    continue
                self.items_out += 1
                yield item
        except self.ignored as error:
            self._skip(error, self.items_out)
        except GeneratorExit:
            raise
        except BaseException as error:
            self._note(error, f"its functor at item {self.items_out}")
            raise

    def _skip(self, error: BaseException, number: int) -> None:
        logger.warning(
            "%s: item %d was skipped: %s: %s",
            self.segment.name,
            number,
            type(error).__name__,
            error,
        )

    def _note(self, error: BaseException, doing: str) -> None:
        if not self.broken:
            self.broken = True
            error.add_note(f"minipipe: in {doing} of segment {self.segment.name!r} (inline)")

    def close(self) -> Any:
        if self.opened is None or self.opened.local_term is None or self.broken:
            return None
        return self.opened.local_term()


class InlineRun:
    """One pass; lazily, so that a pipeline with an open end is driven by the caller's loop."""

    def __init__(
        self, graph: Graph, ignore_exceptions: tuple[type[BaseException], ...] | None
    ) -> None:
        self.graph = graph
        self.results: dict[str, Any] = {}
        self.failure: BaseException | None = None
        self.outcome = Outcome.FINISHED
        self.began_at = time.time()
        self.ended = False
        self._began_s = time.monotonic()
        self._took_s = 0.0
        self._stages = [
            _Stage(
                s,
                s.declared.ignore_exceptions if ignore_exceptions is None else ignore_exceptions,
            )
            for s in graph.segments
            if s.declared is not None
        ]

    def items(self) -> Iterator[Any]:
        """Runs the pipeline; yields what its last segment puts out (nothing, after a Sink)."""
        source, *rest = self._stages
        try:
            for stage in self._stages:
                stage.open()
            for number, item in enumerate(source.items()):
                for stage in rest:
                    item = stage.call(number, item)
                    if item is None:
                        break
                else:
                    if self.graph.caller is not None:
                        yield item
        except GeneratorExit:
            self.outcome = Outcome.STOPPED
            raise
        except KeyboardInterrupt:
            self.outcome = Outcome.INTERRUPTED
            raise
        except BaseException as error:
            self.failure, self.outcome = error, Outcome.FAILED
            raise
        finally:
            self._close()

    def _close(self) -> None:
        try:
            for stage in self._stages:
                result = stage.close()
                logger.info("%s: Local termination", stage.segment.name)
                if result is not None:
                    self.results[stage.segment.worker_name(0)] = result
        finally:
            self.ended = True
            self._took_s = time.monotonic() - self._began_s

    def stats(self) -> RunStats:
        """What every segment has done so far."""
        state = "ended" if self.ended else "running"
        took_s = self._took_s if self.ended else time.monotonic() - self._began_s
        return RunStats(state, took_s, tuple(self._worker(stage, state) for stage in self._stages))

    @staticmethod
    def _worker(stage: _Stage, state: str) -> WorkerStats:
        return WorkerStats(
            worker=stage.segment.worker_name(0),
            segment=stage.segment.name,
            pid=0,
            state=state,
            items_in=stage.items_in,
            items_out=stage.items_out,
            dropped=stage.dropped,
            confirmed=stage.items_in,
            kept_items=0,
            kept_bytes=0,
            kept_peak_items=0,
            kept_peak_bytes=0,
            parcels_out=0,
            queued_items=0,
            item=None,
        )
