"""One pass in worker processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minipipe.errors import LifecycleError
from minipipe.graph import Graph
from minipipe.pipeline.at_exit import begin, died_of, end, interrupt, note_left, quiet_interrupts
from minipipe.pipeline.execution import (
    RunTimeoutError,
    check_end_is_read,
    check_is_left,
    summary,
    torn,
)
from minipipe.pipeline.forgotten import tell_forgotten
from minipipe.pipeline.interruptible import Interruptible
from minipipe.pipeline.observation import observe
from minipipe.pipeline.progress_of_pass import progress_of, taken_by
from minipipe.pipeline.termination import Terminated
from minipipe.process.describe import in_a_line
from minipipe.process.logs import SUMMARY, logger
from minipipe.protocol.delivery.delivered import Identity
from minipipe.protocol.run.beginning import Progress
from minipipe.protocol.run.lifecycle import Outcome
from minipipe.stream import PassLeft, StopRun
from minipipe.supervisor.caller import NestedError, Output, UndecodableError

if TYPE_CHECKING:
    from minipipe.observe.timeline import Timeline
    from minipipe.observe.verdict import Verdict
    from minipipe.supervisor.run_options import RunOptions

PATIENCE_S = 1.0  # at the interpreter's end: after this it says what it waits for


class ProcessExecution(Interruptible):
    """In worker processes, started at once."""

    is_persistent = False

    def __init__(
        self,
        graph: Graph,
        ignored: tuple[type[BaseException], ...] | None,
        options: RunOptions,
        *,
        pipeline: int,
    ) -> None:
        from minipipe.supervisor.run import Run

        self._graph, self._begins = graph, options.begins
        quiet_interrupts()
        super().__init__(Run(graph, options, ignore_exceptions=ignored, pipeline=pipeline))
        self.began_at = self._run.began_at
        self._observation = observe(self._run, graph, options)
        self._pid = os.getpid()
        self._told = self._told_forgotten = False
        self._torn_by: BaseException | None = None
        self._refused: LifecycleError | None = None

    def start(self) -> None:
        """Returns when every worker's process was asked for; raises why that was not possible."""
        try:
            begin(self)
            self._run.start()
        except KeyboardInterrupt:
            self._run.end_unstarted()
            self._run.stop(outcome=Outcome.INTERRUPTED, kill=True)
            self._interrupted = True
            self._wait(None)
            self._raise()
        except BaseException:  # it could not start; or a signal handler of the user's has raised
            self._run.end_unstarted()
            self._run.stop(outcome=Outcome.INTERRUPTED, kill=True)
            self._run.wait()
            self._observation.end()
            end(self)
            raise
        self._observation.begin()
        if self._run.caller is not None and self._run.service_thread is not None:
            taken = taken_by(self._run, self._graph, self._begins)
            about = (self._run.caller, self._run.service_thread, taken)
            self._output = Output(*about, is_persistent=self.is_persistent)

    def progress(self, without: Sequence[Identity] = ()) -> Progress:
        return progress_of(self._run, self._output, self._begins, without, self.is_through)

    @property
    def pass_(self) -> int:
        return self._run.passes.last

    @property
    def ended(self) -> bool:
        return self._run.ended

    @property
    def results(self) -> dict[str, Any]:
        return self._run.results

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        return self._run.own

    def is_in_functor(self) -> bool:
        return False  # they are in other processes, which know that

    @property
    def _is_ours(self) -> bool:
        """Whether this process has the run, and not one that was forked from its process."""
        return os.getpid() == self._pid

    # ---------------------------------------------------------------- reading
    def take(self) -> Any:
        __tracebackhide__ = True  # our frames tell nobody where a functor has failed
        assert self._output is not None
        try:
            return self._output.take()
        except NestedError as error:
            if error.is_told:  # it comes from within: a signal handler has let it pass
                self._tear(error)
            error.is_told = True
            raise
        except StopIteration:
            self._wait_at_end()
        except PassLeft:
            raise StopIteration from None
        except StopRun:
            self._wait(None)
        except UndecodableError as error:
            cause = error.__cause__
            assert cause is not None
            item = self._run.item_of(error.origin, error.number, error.path)
            cause.add_note(f"minipipe: {item}, which came from {error.feeders!r} to the loop here")
            self._run.stop(outcome=Outcome.FAILED, cause=cause)
            self._wait(None)
        except Terminated:
            self._wait(None)  # `terminate` has stopped it
        except KeyboardInterrupt:
            self._run.stop(outcome=Outcome.INTERRUPTED)
            self._interrupted = True
            self._wait(None)
        except BaseException as error:
            self._tear(error)
            raise
        self._raise()
        raise StopIteration

    def _wait_at_end(self) -> None:
        """All items were read."""
        self._wait(None)

    def _tear(self, error: BaseException) -> None:
        """Something was raised in the middle of taking an item: by a signal handler, say.

        A message may be lost half way, so the run cannot go on, and must not look as if it had
        ended well.
        """
        self._torn_by = error
        self._run.stop()
        self._wait(None)

    @property
    def _readers(self) -> dict[int, threading.Thread]:
        """The threads that have read, by their idents."""
        return {} if self._output is None else self._output.readers.copy()

    def leave(self, *, waits: bool = False) -> BaseException | None:
        if self._is_ours and not self._run.ended:
            # Another thread may be the one that collects garbage, and must not wait: it might
            # be one of those that are waited for.
            here = not self._readers or threading.get_ident() in self._readers
            waits = (waits or here) and threading.current_thread() not in self._run.own
            self.stop(drain=False, wait=waits)
            if waits:
                note_left(self._interrupted_line)
            return self._run.failure
        return None

    def abandon(self) -> BaseException | None:
        # Garbage is collected anywhere, with any lock held; and at the interpreter's end the run
        # is waited for, if nobody has done that before.
        if self._is_ours and not self._run.ended:
            self._left = True
            self.stop(drain=False, wait=False)
            note_left(self._interrupted_line)
        return None

    def _interrupted_line(self) -> str:
        return f"minipipe: {summary('interrupted', self.stats())}"

    def wait_if_left(self) -> None:
        if not self._left or not self._is_ours:
            return
        self._wait(None)
        self._log_failure_of_left()
        if self._interrupted or self._terminated:
            self._raise()

    def forget_if_left(self) -> None:
        if self._left and self._is_ours and self._run.ended:
            end(self)
            self._log_failure_of_left()

    def _log_failure_of_left(self) -> None:
        if self._left and self._run.failure is not None and not self._told:
            self._told = True
            logger.error("after the loop was left, %s", in_a_line(self._run.failure))

    # ---------------------------------------------------------------- the end
    def close(self, timeout_s: float | None) -> dict[str, Any]:
        __tracebackhide__ = True
        if not self._is_ours:
            raise LifecycleError("the run belongs to the process that this one was forked from")
        if not self._run.ended and not self._left:
            try:
                self._check_is_read()
            except LifecycleError as error:
                self._refused = error  # said again at the next close
                self.stop(drain=False, wait=True)
                raise
        self._wait(timeout_s)
        self._raise()
        if not self._told:
            self._told = True
            self._observation.tell(self._run.outcome.value)
        return self.results

    def _check_is_read(self) -> None:
        """Sees that somebody reads what is still to come.

        Raises:
            LifecycleError: nobody does.
        """
        if self._output is None or not self._readers:
            check_end_is_read(self._graph)
        else:
            check_is_left(self._output, is_stopped=self._stopped)

    def stop(self, *, drain: bool, wait: bool) -> None:
        if not self._is_ours:
            return
        self._stopped = self._stopped or not drain
        self._cut()
        self._run.stop(drain=drain)
        if wait:
            self._wait(None)

    def timeline(self) -> Timeline | None:
        return None if self._run.tracing is None else self._run.tracing.timeline()

    def verdict(self) -> Verdict | None:
        return self._observation.verdict()

    def end_with_interpreter(self) -> None:
        """The script has ended: waits for the run, or stops it if that would be for ever.

        Raises:
            BaseException: what ended the run.
        """
        if not self._is_ours:
            return
        if died_of() is not None or self._readers:
            self.stop(drain=False, wait=True)  # the script failed, or nobody will read on
            self._log_failure_of_left()
            if died_of() is None and (self._interrupted or self._terminated):
                self._raise()  # else what the script ended with has been printed
            return
        try:
            self._wait(PATIENCE_S)
        except RunTimeoutError:
            if not self.hurried:
                logger.log(SUMMARY, "the script has ended, a run has not (Ctrl-C ends it)")
        self.close(None)

    def _at_end(self) -> None:
        self._observation.end()
        end(self)

    def _raise(self) -> None:
        """Raises what the run came to, if that was no good."""
        if self._refused is not None:
            raise self._refused
        if self._interrupted or self._terminated:
            if self._run.failure is not None:
                logger.error("at the end, %s", in_a_line(self._run.failure))
            how = "terminated" if self._terminated else "interrupted"
            raise interrupt(f"minipipe: {summary(how, self.stats())}") from None
        failure = self._run.failure
        if failure is not None:
            raise failure
        if self._torn_by is not None:
            raise torn(self._torn_by) from self._torn_by
        if self._run.outcome is Outcome.FINISHED and not self._told_forgotten:
            self._told_forgotten = True
            tell_forgotten(self._graph, self.stats())
