"""One run of a pipeline in the caller's process and thread."""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Literal

from minipipe.codec.registry import LibraryGenerators
from minipipe.errors import FunctorError
from minipipe.graph import Graph
from minipipe.inline.flow import PAUSE, Flow, StopWished
from minipipe.inline.layout import join_of, stages_of
from minipipe.inline.stage import Stage
from minipipe.observe.trace_wish import write_trace
from minipipe.process.generators import Generators
from minipipe.process.seeds import Randomness, RandomnessByItem, use
from minipipe.process.worker_info import set_worker_info
from minipipe.protocol.item_seeds import FIRST_PASS, SegmentSeeds
from minipipe.protocol.run.lifecycle import Outcome
from minipipe.protocol.run.stats import RunStats
from minipipe.segments.worker_init import WorkerInit

if TYPE_CHECKING:
    from minipipe.inline.tracing import InlineTracing

logger = logging.getLogger("minipipe")


class InlineRun:
    """One run; lazily, so that a pipeline with an open end is driven by the caller's loop.

    Args:
        stays: it goes through pass after pass, until `end`.
        trace: whether it is written down what each segment does when, and for which file.
        first_pass: the number of the first of them.
        worker_init: is called once, before any functor is made.
    """

    def __init__(
        self,
        graph: Graph,
        ignore_exceptions: tuple[type[BaseException], ...] | None,
        seed: int | None = None,
        *,
        stays: bool = False,
        trace: str | bool = False,
        first_pass: int = 0,
        worker_init: WorkerInit | None = None,
    ) -> None:
        self.graph = graph
        self.results: dict[str, Any] = {}
        self.failure: BaseException | None = None
        self.outcome = Outcome.FINISHED
        self.began_at = time.time()
        self.ended = False
        self.wish: Literal["", "stop", "drain"] = ""  # of somebody who does not drive it
        self._began_s = time.monotonic()
        self._took_s = 0.0
        self._stays = stays
        self._pass = self._first_pass = first_pass
        self._has_begun = False
        self._worker_init = worker_init
        self._by_index = stages = stages_of(graph, ignore_exceptions)
        self._stages = list(stages.values())
        run_id = random.SystemRandom().getrandbits(62)
        for stage in self._stages:
            stage.stays = stays
            stage.skipping.run_id = run_id
            stage.skipping.names = {s.index: s.name for s in graph.segments}
            stage.info.seed = stage.info.common_seed = random.SystemRandom().getrandbits(32)
            stage.randomness = Randomness(stage.info.seed)
            stage.info.drain_if(lambda: bool(self.wish))
        if seed is not None:
            generators = Generators(LibraryGenerators().seed)
            for stage in self._stages:
                seeds = SegmentSeeds(seed, FIRST_PASS, stage.segment.name)
                stage.randomness = RandomnessByItem(seeds, 0, generators)
                stage.info.seed, stage.info.common_seed = seeds.of_worker(0), seeds.common
        self._flow = Flow(graph, stages, lambda: self.wish)
        self.tracing = _tracing_of(graph, self._stages) if trace else None
        self._trace_path = trace if isinstance(trace, str) else None

    def items(self) -> Iterator[Any]:
        """Runs the pipeline; yields what its open end puts out (nothing, after Sinks)."""
        with contextlib.closing(self.steps()) as steps:
            for step in steps:
                if step is not PAUSE:
                    yield step

    def steps(self) -> Generator[Any, None, None]:
        """Does the same, and yields PAUSE now and then, to be asked for more.

        If it stays, one pass: closed early, it is that pass alone that ends.
        """
        ends = True
        try:
            self._begin_pass()
            for item in self._flow.items():
                leave_worker()
                yield item
            if self.wish:
                self.outcome = Outcome.STOPPED
            elif self._stays:
                self._leave_pass()
                ends = False
        except StopWished:
            self.outcome = Outcome.STOPPED
        except GeneratorExit:
            if self._stays and not self.wish:
                self._leave_pass()
                ends = False
                raise
            self.outcome = Outcome.STOPPED
            raise
        except KeyboardInterrupt:
            self.outcome = Outcome.INTERRUPTED
            raise
        except SystemExit as error:  # of a functor's: it would end the caller
            where = " ".join(getattr(error, "__notes__", ())).removeprefix("minipipe: ")
            self.failure = FunctorError("SystemExit", str(error), where)
            self.outcome = Outcome.FAILED
            for note in getattr(error, "__notes__", ()):
                self.failure.add_note(note)
            raise self.failure from error
        except BaseException as error:
            self.failure, self.outcome = error, Outcome.FAILED
            raise
        finally:
            if ends:
                self._close()

    def _begin_pass(self) -> None:
        """The stages are opened, or are open again."""
        if not self._has_begun:
            self._has_begun = True
            if self._worker_init is not None:
                self._stages[0].prepare(self._worker_init)
            for stage in self._stages:
                stage.open()
            if not self._first_pass:
                return
            self._leave_pass()
        else:
            self._pass += 1
        for index, stage in self._by_index.items():
            stage.begin_pass(self._pass, join_of(stage.segment, self.graph.wiring(index)))
        self._flow = Flow(self.graph, self._by_index, lambda: self.wish)

    def _leave_pass(self) -> None:
        """What is open of a pass is closed."""
        for stage in self._stages:
            stage.as_worker()
            stage.leave()
        leave_worker()

    def end(self) -> None:
        """No more passes come: every `local_term` is called.

        Raises:
            BaseException: what the first one has raised, or that a share of failures is too large.
        """
        try:
            for stage in self._stages:
                stage.stays = False
                stage.judge_failures(final=True)
        except BaseException as error:
            self.failure, self.outcome = error, Outcome.FAILED
            raise
        finally:
            self._close()

    def _close(self) -> None:
        """Calls every `local_term`, also when one of them raises."""
        failure: BaseException | None = None
        for stage in self._stages:
            stage.info.outcome = self.outcome.value
            try:
                result = stage.close()
            except BaseException as error:
                failure = failure or error
                continue
            logger.info("%s: Local termination", stage.segment.name)
            if result is not None:
                self.results[stage.segment.worker_name(0)] = result
        leave_worker()
        self.ended = True
        self._took_s = time.monotonic() - self._began_s
        if self.tracing is not None:
            self.tracing.end()
            if self._trace_path is not None:
                write_trace(self._trace_path, self.tracing.timeline())
        if failure is None:
            return
        if self.failure is not None:  # that one is raised, as it came first
            logger.warning("then %s: %s", type(failure).__name__, failure)
            return
        self.failure, self.outcome = failure, Outcome.FAILED
        raise failure

    def stats(self) -> RunStats:
        """What every segment has done so far."""
        state = "ended" if self.ended else "running"
        took_s = self._took_s if self.ended else time.monotonic() - self._began_s
        return RunStats(state, took_s, tuple(stage.stats(state) for stage in self._stages))


def _tracing_of(graph: Graph, stages: list[Stage]) -> InlineTracing:
    from minipipe.inline.tracing import InlineTracing

    return InlineTracing(graph, stages)


def leave_worker() -> None:
    """What is called from here on is no functor."""
    set_worker_info(None)
    use(None)
