"""One pass in worker processes."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from minipipe.errors import LifecycleError
from minipipe.graph import Graph
from minipipe.pipeline.at_exit import begin, died_of, end, interrupt, note_left, quiet_interrupts
from minipipe.pipeline.execution import RunTimeoutError, check_end_is_read, summary
from minipipe.pipeline.forgotten import tell_forgotten
from minipipe.pipeline.termination import Terminated
from minipipe.process.describe import in_a_line
from minipipe.process.logs import SUMMARY, logger
from minipipe.protocol.run.lifecycle import Outcome
from minipipe.protocol.run.stats import RunStats
from minipipe.stream import StopRun
from minipipe.supervisor.caller import NestedError, Output, UndecodableError

if TYPE_CHECKING:
    from minipipe.supervisor.run import Run

PATIENCE_S = 1.0  # at the interpreter's end: after this it says what it waits for


class ProcessExecution:
    """In worker processes, started at once."""

    def __init__(
        self,
        graph: Graph,
        ignored: tuple[type[BaseException], ...] | None,
        *,
        grace_s: float,
        seed: int | None,
        shared_bytes: int | None,
        pipeline: int,
    ) -> None:
        from minipipe.supervisor.run import Run

        self._graph = graph
        quiet_interrupts()
        self._run: Run = Run(
            graph,
            ignore_exceptions=ignored,
            seed=seed,
            shared_bytes=shared_bytes,
            grace_s=grace_s,
            pipeline=pipeline,
        )
        self.began_at = self._run.began_at
        self._pid = os.getpid()
        self._interrupted = self._terminated = self.hurried = False
        self._left = False  # nobody holds the loop any more
        self._stopped = False  # on somebody's wish, and without draining: nobody needs to read
        self._told = self._told_forgotten = False
        self._torn_by: BaseException | None = None
        self._refused: LifecycleError | None = None
        self._output: Output | None = None

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
            end(self)
            raise
        if self._run.caller is not None and self._run.service_thread is not None:
            self._output = Output(self._run.caller, self._run.service_thread)

    @property
    def ended(self) -> bool:
        return self._run.ended

    @property
    def results(self) -> dict[str, Any]:
        return self._run.results

    def is_in_functor(self) -> bool:
        return False  # they are in other processes, which know that

    @property
    def _is_ours(self) -> bool:
        """Whether this process has the run, and not one that was forked from its process."""
        return os.getpid() == self._pid

    # ---------------------------------------------------------------- reading
    def take(self) -> Any:
        assert self._output is not None
        try:
            return self._output.take()
        except NestedError as error:
            if error.is_told:  # it comes from within: a signal handler has let it pass
                self._tear(error)
            error.is_told = True
            raise
        except StopIteration:
            self._wait(None)
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
        if not self._is_ours:
            raise LifecycleError("the run belongs to the process that this one was forked from")
        if not self._run.ended and not self._left:
            try:
                if self._output is None or not self._readers:
                    check_end_is_read(self._graph)
                elif self._output.is_read_here and not self._stopped:
                    raise LifecycleError(
                        "close() while a loop over the pipeline is at work in this thread, so that "
                        "nobody would read what comes: leave the loop (break), or stop(); "
                        "the run was stopped"
                    )
            except LifecycleError as error:
                self._refused = error  # said again at the next close
                self.stop(drain=False, wait=True)
                raise
        self._wait(timeout_s)
        self._raise()
        if not self._told:
            self._told = True
            logger.log(SUMMARY, "%s", summary(self._run.outcome.value, self.stats()))
        return self.results

    def stop(self, *, drain: bool, wait: bool) -> None:
        if not self._is_ours:
            return
        self._stopped = self._stopped or not drain
        self._run.stop(drain=drain)
        if wait:
            self._wait(None)

    def terminate(self) -> None:
        """SIGTERM: stops it; a second one does not wait for anybody."""
        self._run.stop(outcome=Outcome.INTERRUPTED, kill=self._terminated)
        self._terminated = True

    def hurry(self) -> None:
        """A signal handler of the user's ends the script: stops it, the second time at once."""
        self._run.stop(kill=self.hurried)
        self.hurried = self._stopped = True

    def stats(self) -> RunStats:
        return self._run.stats()

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

    def _wait(self, timeout_s: float | None) -> None:
        """Waits for the end; a Ctrl-C ends the run, a second one does not wait for anybody."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
                if not self._run.wait(left_s):
                    raise RunTimeoutError(
                        f"the run has not ended within {timeout_s} s and goes on: call close() "
                        f"again to wait, or stop() to end it\n{self.stats()}"
                    )
                break
            except Terminated:
                until_s = None  # `terminate` has stopped it
            except SystemExit:
                self.hurry()  # the script's end waits for it
                raise
            except KeyboardInterrupt:
                until_s = None
                kill = self._interrupted or self._left
                self._run.stop(outcome=Outcome.INTERRUPTED, kill=kill)
                self._interrupted = True
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
            raise LifecycleError(
                f"the run was stopped in the middle: {type(self._torn_by).__name__} was raised "
                "while the loop waited for an item (by a signal handler?)"
            ) from self._torn_by
        if self._run.outcome is Outcome.FINISHED and not self._told_forgotten:
            self._told_forgotten = True
            tell_forgotten(self._graph, self.stats())
