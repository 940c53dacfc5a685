"""What PipeLine and PipeSystem have in common: build, run, close; loops over the output."""

from __future__ import annotations

import random
import time
import weakref
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from minipipe.errors import LifecycleError, reject_unknown
from minipipe.graph import Graph
from minipipe.inline import tell_differences
from minipipe.pipeline.dead_letter_files import check_dead_letters, tell_letters_of_before
from minipipe.pipeline.execution import Execution, check_has_output
from minipipe.pipeline.inline_execution import InlineExecution
from minipipe.pipeline.inside import check_outside
from minipipe.pipeline.loop import Loop
from minipipe.pipeline.process_execution import ProcessExecution
from minipipe.pipeline.run_options import check_run_options, checked_inline
from minipipe.pipeline.with_block import end_of_block
from minipipe.process.importing import check_no_import
from minipipe.process.logs import set_level
from minipipe.process.platforms import check_processes_work_here
from minipipe.protocol.run.stats import RunStats
from minipipe.segments.functor_code import refuse_lost
from minipipe.segments.options import check_ignored
from minipipe.segments.segment import Segment

if TYPE_CHECKING:
    from graphviz import Digraph

GRACE_S = 10.0


class Runnable(ABC):
    """A pipeline that can be built, run and closed, whatever it was declared as."""

    def __init__(self) -> None:
        self._ident = random.SystemRandom().getrandbits(62)  # copies of it have the same
        self.monitor = False
        self._monitored = False
        self._graph: Graph | None = None
        self._inline = False
        self._ignored: tuple[type[BaseException], ...] | None = None
        self._execution: Execution | None = None
        # Weak: a loop that nobody holds any more has been left, and stops its run.
        self._loop: weakref.ref[Loop] | None = None

    @property
    @abstractmethod
    def pipes(self) -> list[Segment]:
        """All its segments."""

    def _before_run(self) -> None:  # noqa: B027 - most have nothing to do
        """Brings the graph up to date with what may change between `build` and `run`."""

    @abstractmethod
    def _make_graph(self, monitor: bool) -> Graph:
        """The graph of what was declared.

        Raises:
            BuildError: it cannot run.
        """

    def build(
        self,
        log_lvl: str | int | None = None,
        monitor: bool = False,
        ignore_exceptions: Any = None,
        *,
        inline: bool | None = None,
        **unknown: Any,
    ) -> Self:
        """Checks the pipeline, starts nothing; returns it.

        Args:
            log_lvl: of the logger `minipipe`: "INFO", "WARNING", ... (default: warnings and one
                line about each run).
            monitor: logs how full all streams are, while it runs (level INFO).
            ignore_exceptions: replaces that of all segments.
            inline: run everything in this process and thread, for debugging (default: if the
                environment variable MINIPIPE_INLINE is set and not 0).  Objects are then the
                caller's own, and keep their state from pass to pass.

        Raises:
            BuildError: it cannot run as declared.
        """
        reject_unknown(unknown, ("log_lvl", "monitor", "ignore_exceptions", "inline"), "build")
        self._wait_if_left()
        self._check_not_running("build()")
        set_level(log_lvl)
        inline = checked_inline(inline)
        if not inline:
            check_processes_work_here()
        self._ignored = (
            None if ignore_exceptions is None else check_ignored(ignore_exceptions, "build")
        )
        self._inline = inline
        self._monitored = bool(monitor) or self.monitor
        self._graph = self._make_graph(self._monitored)
        self._execution = self._loop = None
        check_dead_letters(self.pipes)
        if inline:
            tell_differences(self._graph)
        else:
            for pipe in self.pipes:
                refuse_lost(pipe.functor_obj, pipe.where)
        return self

    def reset(self) -> None:
        """Back to built: forgets the last run and its results, clears all term flags.

        Raises:
            LifecycleError: it runs.
        """
        self._wait_if_left()
        self._check_not_running("reset()")
        self._execution = self._loop = None
        for segment in self.pipes:
            segment.reset()

    # --------------------------------------------------------------- running
    def run(
        self,
        *,
        grace_s: float = GRACE_S,
        seed: int | None = None,
        shared_bytes: int | None = None,
        **unknown: Any,
    ) -> Self:
        """Starts a pass, building first if need be; returns the pipeline.

        Args:
            grace_s: seconds that `local_term` of healthy workers may take after a stop.
            seed: what functors draw follows from it, item by item (README); None: drawn anew.
            shared_bytes: what arrays in shared memory may come to, in all workers together;
                beyond that they travel inside messages.  None: a quarter of the memory of the
                machine, or of the container; 0: none.

        Raises:
            LifecycleError: it runs already.
            BuildError: it cannot run as declared.
            StartError: its processes cannot be started.
        """
        reject_unknown(unknown, ("grace_s", "seed", "shared_bytes"), "run")
        check_outside(self._ident, self._execution, "run()")
        seed = check_run_options(grace_s=grace_s, seed=seed, shared_bytes=shared_bytes)
        check_no_import()
        self._wait_if_left()
        self._check_not_running("run()")
        if self._graph is None:
            self.build()
        assert self._graph is not None
        if self._execution is not None:
            self.reset()
        self._before_run()
        tell_letters_of_before(self.pipes)
        if self._inline:
            self._execution = InlineExecution(self._graph, self._ignored, seed)
        else:
            # Known at once: somebody may stop it before all its processes were asked for.
            execution = self._execution = ProcessExecution(
                self._graph,
                self._ignored,
                grace_s=float(grace_s),
                seed=seed,
                shared_bytes=shared_bytes,
                pipeline=self._ident,
            )
            try:
                execution.start()
            except BaseException:
                self._execution = None
                raise
        return self

    def close(self, timeout_s: float | None = None, **unknown: Any) -> dict[str, Any]:
        """Waits for the end of the run; returns what the workers' `local_term` returned.

        Raises:
            LifecycleError: there was no `run()`, or nobody reads what the pipeline puts out.
            RunTimeoutError: it has not ended within `timeout_s`; it goes on.
            Exception: what ended the run: a functor's exception, or `WorkerDiedError`.
        """
        reject_unknown(unknown, ("timeout_s",), "close")
        check_outside(self._ident, self._execution, "close()")
        if self._execution is None:
            raise LifecycleError(f"close() of a pipeline that is {self._state()}: call run() first")
        return self._execution.close(timeout_s)

    def stop(self, drain: bool = False, **unknown: Any) -> None:
        """Ends the run early, from anywhere, also a signal handler; does not wait (close does).

        Args:
            drain: let what the sources have yielded so far go through to the end (what goes
                round in a loop for ever has no end: stop that without).
        """
        reject_unknown(unknown, ("drain",), "stop")
        check_outside(self._ident, self._execution, "stop()")
        if self._execution is not None and not self._execution.ended:
            self._execution.stop(drain=drain, wait=False)

    def __iter__(self) -> Loop:
        check_outside(self._ident, self._execution, "a loop over the output")
        if self._graph is None:
            self.build()
        assert self._graph is not None
        check_has_output(self._graph)
        self._wait_if_left()
        if self._running():
            if self._loop is not None and self._loop() is not None:
                raise LifecycleError(
                    "a loop over this pipeline is going on: its items go to one loop only "
                    "(leave that one first, or make a second pipeline)"
                )
        else:
            self.run()
        assert self._execution is not None
        loop = Loop(self._execution)
        self._loop = weakref.ref(loop)
        return loop

    def __enter__(self) -> Self:
        return self.run()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._execution is not None:
            end_of_block(self._execution, self._loop, error)

    def diagram(self, draw_streams: bool = False) -> Digraph:
        """A drawing of the pipeline, building first if need be; needs the extra `diagram`.

        Args:
            draw_streams: streams are nodes of their own.

        Raises:
            MissingExtraError: the Python package graphviz is not installed.
        """
        from minipipe.pipeline.diagram import draw

        if self._graph is None:
            self.build()
        assert self._graph is not None
        return draw(self._graph, draw_streams=draw_streams)

    @property
    def built(self) -> bool:
        return self._graph is not None

    @property
    def results(self) -> dict[str, Any]:
        """What `local_term` returned, by worker name; without the workers that returned None."""
        self._wait_if_left()
        return self._execution.results if self._execution is not None else {}

    def stats(self) -> RunStats:
        """What every worker has done so far in this run, or did in the last one.

        Raises:
            LifecycleError: there was no run.
        """
        if self._execution is None:
            raise LifecycleError(f"stats() of a pipeline that is {self._state()}: call run() first")
        return self._execution.stats()

    def _wait_if_left(self) -> None:
        """Waits for the end of a run whose loop was left, as that itself does not."""
        if self._execution is not None:
            self._execution.wait_if_left()

    def _running(self) -> bool:
        return self._execution is not None and not self._execution.ended

    def _state(self) -> str:
        if self._graph is None:
            return "not built"
        if self._execution is None:
            return "built"
        return "running" if self._running() else "finished"

    def _check_not_running(self, call: str) -> None:
        if self._running():
            assert self._execution is not None
            since = time.strftime("%H:%M:%S", time.localtime(self._execution.began_at))
            raise LifecycleError(
                f"{call} while the pipeline is running since {since}: call close() to wait for "
                "its end, or stop()"
            )

    def __repr__(self) -> str:
        names = ", ".join(segment.name for segment in self.pipes)
        return f"<{type(self).__name__} {names or '(empty)'}: {self._state()}>"
