"""One pass inline: in the caller's process and thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minipipe.errors import LifecycleError
from minipipe.graph import Graph
from minipipe.inline import PAUSE, InlineRun
from minipipe.observe.trace_wish import begin_trace_file
from minipipe.observe.verdict import Verdict
from minipipe.pipeline.at_exit import begin, died_of, end, note_left
from minipipe.pipeline.execution import RunTimeoutError, check_end_is_read, summary
from minipipe.pipeline.forgotten import tell_forgotten
from minipipe.process.handlers import in_signal_handler
from minipipe.process.logs import SUMMARY, logger
from minipipe.protocol.delivery.delivered import Identity
from minipipe.protocol.run.beginning import Beginning, Progress
from minipipe.protocol.run.lifecycle import Outcome
from minipipe.protocol.run.stats import RunStats
from minipipe.supervisor.caller import NestedError

if TYPE_CHECKING:
    from minipipe.observe.timeline import Timeline
    from minipipe.supervisor.run_options import RunOptions


class InlineExecution:
    """In the caller's process and thread, when the caller asks."""

    is_persistent = False
    token = None

    def __init__(
        self,
        graph: Graph,
        ignored: tuple[type[BaseException], ...] | None,
        options: RunOptions,
    ) -> None:
        self._graph, begins = graph, options.begins
        if isinstance(options.trace, str):
            begin_trace_file(options.trace)
        self._run = InlineRun(
            graph,
            ignored,
            options.seed,
            stays=self.is_persistent,
            trace=options.trace,
            first_pass=begins.pass_,
            worker_init=options.worker_init,
        )
        self.pass_ = begins.pass_
        self._taken = 0  # of this pass
        self._before = begins.delivered  # so many of them were delivered before this run
        self.is_through = False
        self._items: Any = self._run.steps()  # a generator, which knows whether it is at work
        self._lock = threading.RLock()  # several threads may read one loop
        self._driver = 0  # the thread that drives it
        self.hurried = False
        self._told = False
        self.began_at = self._run.began_at
        begin(self)

    def start(self) -> None:
        """Nothing is done before somebody asks for it."""

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        return ()

    @property
    def ended(self) -> bool:
        return self._run.ended

    @property
    def outcome(self) -> str:
        return self._run.outcome.value if self._run.ended else ""

    @property
    def results(self) -> dict[str, Any]:
        return self._run.results

    def take(self) -> Any:
        with self._lock:
            if self._items.gi_running:
                raise NestedError("by a functor, a signal handler, or a finalizer")
            self._driver = threading.get_ident()
            tracing = self._run.tracing
            if tracing is not None:
                tracing.asked()
            try:
                while (item := next(self._items)) is PAUSE or self._is_known():
                    pass
            except StopIteration:
                is_cut = bool(self._run.wish) or self._run.outcome is not Outcome.FINISHED
                self.is_through = self.is_through or not is_cut
                self._tell_forgotten()
                raise
            finally:
                if self._run.ended:  # nobody need close it, so that it would be kept for ever
                    end(self)
            if tracing is not None:
                tracing.handed()
            return item

    def _is_known(self) -> bool:
        """Whether the item just taken was delivered before this run."""
        self._taken += 1
        return self._taken <= self._before

    def progress(self, without: Sequence[Identity] = ()) -> Progress:
        taken = max(self._taken, self._before) - len(without)
        is_over = self.is_through and not without
        return Progress(Beginning(self.pass_, 0 if is_over else taken), is_over)

    def leave(self, *, waits: bool = False) -> BaseException | None:
        if self._run.ended:
            end(self)
            return None  # whoever read the loop was told
        self.stop(drain=False, wait=True)
        note_left(self._interrupted_line)
        return self._run.failure

    def abandon(self) -> BaseException | None:
        return self.leave()

    def _interrupted_line(self) -> str:
        return f"minipipe: {summary('interrupted', self.stats())}"

    def wait_if_left(self) -> None:
        pass  # nothing goes on by itself

    def close(self, timeout_s: float | None) -> dict[str, Any]:
        end(self)
        if self._run.failure is not None:
            raise self._run.failure
        if not self._run.ended:
            self._drive(timeout_s)
            self._tell_forgotten()
            logger.log(SUMMARY, "%s", summary("finished", self.stats()))
        return self.results

    def _drive(self, timeout_s: float | None) -> None:
        """Goes on to the end, if nobody is to read what comes."""
        check_end_is_read(self._graph)
        if self._items.gi_running:
            raise LifecycleError(
                "close() while the pipeline runs inline, in another thread or further up in "
                "this one: that one's close() is what drives it"
            )
        self._driver = threading.get_ident()
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        for _ in self._items:
            if until_s is not None and time.monotonic() > until_s:
                begin(self)
                raise RunTimeoutError(
                    f"the run has not ended within {timeout_s} s and stands still, as it is "
                    f"inline: call close() again to go on, or stop() to end it\n{self.stats()}"
                )

    def is_in_functor(self) -> bool:
        here = self._items.gi_running and threading.get_ident() == self._driver
        return here and not in_signal_handler()  # which may have interrupted a functor

    def stop(self, *, drain: bool, wait: bool) -> None:
        if not drain and self._lock.acquire(blocking=False):
            try:
                if not self._items.gi_running:
                    end(self)
                    self._end()
                    return
            finally:
                self._lock.release()
        # By a functor, a signal handler or another thread: whoever drives it sees that.
        self._run.wish = "drain" if drain else "stop"

    def _tell_forgotten(self) -> None:
        if not self._told and self._run.outcome is Outcome.FINISHED:
            self._told = True
            tell_forgotten(self._graph, self.stats())

    def _end(self) -> None:
        """Ends it where it stands; what a `local_term` raises is for who closes it."""
        try:
            self._items.close()
        except Exception as error:
            if error is not self._run.failure:
                raise
        self._run.ended = True

    def forget_if_left(self) -> None:
        """A loop that is left ends at once here."""

    def hurry(self) -> None:
        self.hurried = True
        self.stop(drain=False, wait=False)

    def terminate(self) -> None:
        """SIGTERM: ends it where it is driven by another thread than the one that gets that."""
        self._run.wish = "stop"

    def end_with_interpreter(self) -> None:
        """The script has ended without close(): does what it would have done."""
        if self._graph.caller is None and died_of() is None:
            self.close(None)

    def stats(self) -> RunStats:
        return self._run.stats()

    def timeline(self) -> Timeline | None:
        return None if self._run.tracing is None else self._run.tracing.timeline()

    def verdict(self) -> Verdict | None:
        return None  # all is one after the other
